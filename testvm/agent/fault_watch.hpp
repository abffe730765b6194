// SPDX-License-Identifier: GPL-2.0-or-later
//
// Tells what rules of injection have fired: the event FAULT_FIRED. It watches from the first rule on, until the rules
// are cleared. The loop's thread only.
#pragma once
#include <functional>
#include <string>

#include "engine/abi/morsel_ioctl.h"
#include "testvm/agent/module.hpp"
#include "testvm/agent/object_names.hpp"
#include "testvm/agent/poller.hpp"
#include "testvm/agent/wire.hpp"

namespace morsel::agent {

class FaultWatch {
 public:
  using Emit = std::function<void(const std::string& event, const Encoded& data)>;
  FaultWatch(Module& module, Poller& poller, Emit emit);

  void start();
  // Its descriptor holds the module.
  void stop();

 private:
  // The next one that has fired, if there is one.
  bool next(morsel_fired& fired);
  void tell();

  Module& module_;
  Poller& poller_;
  Emit emit_;
  ObjectNames object_names_;
  UniqueFd device_;
  std::uint64_t told_ = 0;
};

}  // namespace morsel::agent
