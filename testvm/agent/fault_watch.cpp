// SPDX-License-Identifier: GPL-2.0-or-later
//
// The device is watched edge-triggered: who does not control the gate finds it hung up for ever.
#include "testvm/agent/fault_watch.hpp"

#include <sys/epoll.h>

#include "testvm/agent/requests.hpp"

namespace morsel::agent {

FaultWatch::FaultWatch(Module& module, Poller& poller, Emit emit)
    : module_(module), poller_(poller), emit_(std::move(emit)), object_names_(module)
{
}

void FaultWatch::start()
{
  if (device_) return;
  device_ = module_.open_device();
  for (morsel_fired old{}; next(old);) continue;
  poller_.add(device_.get(), EPOLLPRI | EPOLLET, [this](std::uint32_t) { tell(); });
}

void FaultWatch::stop()
{
  if (!device_) return;
  tell();
  poller_.remove(device_.get());
  device_.reset();
}

bool FaultWatch::next(morsel_fired& fired)
{
  fired.size = sizeof fired;
  fired.sequence = told_;
  try {
    module_.control(device_.get(), MORSEL_IOC_INJECT_FIRED, &fired);
  } catch (const RequestError&) {
    return false;  // ENOENT: that was all
  }
  told_ = fired.sequence;
  return true;
}

void FaultWatch::tell()
{
  const std::uint64_t before = told_;
  std::uint64_t count = 0;
  for (morsel_fired fired{}; next(fired);) {
    Json data{{"rule", fired.rule},
              {"actor", fired.actor},
              {"point", name_of(fired.point, point_words())},
              {"view", fired.tree},
              {"name", object_names_.of(fired.object_id)}};
    ++count;
    if (told_ - before > count) {  // more than the module keeps
      data["untold"] = told_ - before - count;
      count = told_ - before;
    }
    emit_("FAULT_FIRED", data);
  }
}

}  // namespace morsel::agent
