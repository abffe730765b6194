// SPDX-License-Identifier: GPL-2.0-or-later
//
// A module without a kernel, for tests of the agent: keeps objects as plain data, and refuses what morsel.ko refuses in
// so far as the agent could tell.
#pragma once
#include <fcntl.h>
#include <sys/eventfd.h>

#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "engine/abi/morsel_device.h"
#include "engine/abi/morsel_ioctl.h"
#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"
#include "engine/abi/morsel_vcpu.h"
#include "testvm/agent/error.hpp"
#include "testvm/agent/module.hpp"

namespace morsel::agent {

class FakeModule final : public Module {
 public:
  bool is_loaded() override { return loaded_; }

  // A gate that nobody comes to.
  UniqueFd open_device() override { return UniqueFd(eventfd(0, EFD_CLOEXEC)); }
  void control(int, unsigned long code, void* argument) override
  {
    const std::lock_guard lock(mutex_);
    switch (code) {
      case MORSEL_IOC_GATE: return;
      case MORSEL_IOC_GATE_STOP: closed_ = true; return;
      case MORSEL_IOC_GATE_UNTIL: closed_ = false; return;
      case MORSEL_IOC_GATE_ACTORS: static_cast<morsel_gate_actors*>(argument)->closed = closed_; return;
      case MORSEL_IOC_INJECT_FIRED: return show_fired(*static_cast<morsel_fired*>(argument));
      default: throw RequestError(ENOTTY, "unknown request");
    }
  }

  void request(unsigned long code, void* argument) override
  {
    const std::lock_guard lock(mutex_);
    if (!loaded_) throw RequestError(ENODEV, "morsel.ko is not loaded");
    switch (code) {
      case MORSEL_IOC_VERSION: return version(*static_cast<morsel_version*>(argument));
      case MORSEL_IOC_CREATE: return create(*static_cast<morsel_create*>(argument));
      case MORSEL_IOC_LIST: return list(*static_cast<morsel_list*>(argument));
      case MORSEL_IOC_COUNTERS: static_cast<morsel_counters*>(argument)->objects = objects_.size(); return;
      case MORSEL_IOC_INJECT_ADD: return add_rule(*static_cast<morsel_inject*>(argument));
      case MORSEL_IOC_INJECT_LIST: return show_rule(*static_cast<morsel_inject*>(argument));
      case MORSEL_IOC_INJECT_CLEAR: rules_.clear(); return;
      default: throw RequestError(ENOTTY, "unknown request");
    }
  }

  // A rule fires; the descriptor does not tell.
  void fire(unsigned rule, unsigned actor)
  {
    const std::lock_guard lock(mutex_);
    morsel_fired fired{};
    fired.rule = rule;
    fired.actor = actor;
    fired.point = MORSEL_POINT_flush;
    fired.object_id = last_id_;
    fired_.push_back(fired);
  }
  // While it holds, a change of an object does not end.
  void hold(bool on)
  {
    const std::lock_guard lock(mutex_);
    held_ = on;
    released_.notify_all();
  }
  void request_on(const std::string& name, Open how, unsigned long code, void* argument) override
  {
    std::unique_lock lock(mutex_);
    released_.wait(lock, [&] { return !held_ || how != Open::for_writing; });
    const auto found = objects_.find(name);
    if (found == objects_.end()) throw RequestError(ENOENT, "opening /morsel/" + name);
    if (code != MORSEL_IOC_INFO && code != MORSEL_IOC_RANGES && how != Open::for_writing)
      throw RequestError(EBADF, "not open for writing");
    morsel_info& object = found->second;
    switch (code) {
      case MORSEL_IOC_INFO: *static_cast<morsel_info*>(argument) = object; return;
      case MORSEL_IOC_POPULATE: return change(object, *static_cast<morsel_range*>(argument), +1);
      case MORSEL_IOC_UNMAP: return change(object, *static_cast<morsel_range*>(argument), -1);
      case MORSEL_IOC_PROTECT: return change(object, *static_cast<morsel_range*>(argument), 0);
      case MORSEL_IOC_SPLIT:
      case MORSEL_IOC_MIGRATE: return change(object, *static_cast<morsel_range*>(argument), 0);
      case MORSEL_IOC_MERGE: throw RequestError(EBUSY, "merging");
      case MORSEL_IOC_HARVEST: return harvest(object, *static_cast<morsel_harvest*>(argument));
      case MORSEL_IOC_RANGES: return ranges(object, *static_cast<morsel_ranges*>(argument));
      case MORSEL_IOC_VIEW_ADD: return add_view(object, *static_cast<morsel_view_add*>(argument));
      case MORSEL_IOC_VIEW_DROP: return drop_view(object, *static_cast<morsel_view_drop*>(argument));
      case MORSEL_IOC_ACCESS:
        last_access = *static_cast<morsel_access*>(argument);
        if (!(last_access.flags & MORSEL_ACCESS_POPULATE)) throw RequestError(ENXIO, "a hole");
        static_cast<morsel_access*>(argument)->result = MORSEL_ACCESS_FILLED;
        static_cast<morsel_access*>(argument)->value = 0xfeed;
        return;
      case MORSEL_IOC_VCPU:
        std::strcpy(static_cast<morsel_vcpu_create*>(argument)->reason, "another hypervisor");
        throw RequestError(vcpu_error, "making a virtual CPU");
      case MORSEL_IOC_DEVICE:
        std::strcpy(static_cast<morsel_device_attach*>(argument)->reason, "no device");
        throw RequestError(device_error, "attaching a device");
      default: throw RequestError(ENOTTY, "unknown request");
    }
  }

  void remove(const std::string& name) override
  {
    const std::lock_guard lock(mutex_);
    if (objects_.erase(name) == 0) throw RequestError(ENOENT, "removing /morsel/" + name);
  }
  void load(const std::string& parameters) override
  {
    if (loaded_) throw RequestError(EEXIST, "loading morsel.ko");
    if (parameters.find("nonsense") != std::string::npos) throw RequestError(EINVAL, "loading morsel.ko");
    loaded_ = true;
  }
  void unload() override
  {
    if (!objects_.empty()) throw RequestError(EBUSY, "unloading morsel.ko");
    loaded_ = false;
  }

  morsel_access last_access{};
  int vcpu_error = EOPNOTSUPP, device_error = EOPNOTSUPP;
  std::uint64_t frames_left = ~std::uint64_t{0};  // populating stops with ENOMEM when they are used up

 private:
  std::mutex mutex_;  // requests come from several threads
  bool closed_ = false, held_ = false;
  std::condition_variable released_;
  static void version(morsel_version& v)
  {
    v.abi_version = MORSEL_ABI_VERSION;
    v.point_count = MORSEL_POINT_COUNT;
    v.journal_version = MORSEL_JOURNAL_VERSION;
  }
  void create(morsel_create& request)
  {
    if (request.bytes == 0 || request.bytes % 4096) throw RequestError(EINVAL, "creating");
    if (objects_.contains(request.name)) throw RequestError(EEXIST, "creating");
    morsel_info info{};
    info.size = sizeof info;
    info.object_id = ++last_id_;
    info.bytes = request.bytes;
    info.root_pa = 0x1000ull * last_id_;
    info.root_level = request.root_level;
    static_assert(sizeof info.name == sizeof request.name);
    std::memcpy(info.name, request.name, sizeof info.name);
    objects_[request.name] = info;
    request.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  }
  void list(morsel_list& request)
  {
    std::string names;
    for (const auto& [name, info] : objects_) names += name + '\0';
    if (names.size() <= request.names_bytes)
      std::memcpy(reinterpret_cast<char*>(request.names), names.data(), names.size());
    request.names_bytes = names.size();
    request.count = objects_.size();
  }
  void change(morsel_info& object, morsel_range& range, int sign)
  {
    if (range.start >= range.end || range.start % 4096 || range.end % 4096 || range.end > object.bytes)
      throw RequestError(EINVAL, "changing");
    range.changed_pages = (range.end - range.start) / 4096;
    if (sign > 0 && range.changed_pages > frames_left) {
      object.frames += frames_left;
      throw RequestError(ENOMEM, "populating");
    }
    if (sign > 0) object.frames += range.changed_pages;
    if (sign < 0) object.frames -= range.changed_pages;
  }
  // Every page was accessed, every other one written: the longest reply there can be.
  static void harvest(const morsel_info& object, const morsel_harvest& request)
  {
    if (request.start >= request.end || request.end > object.bytes ||
        request.end - request.start > MORSEL_HARVEST_BYTES)
      throw RequestError(EINVAL, "harvesting");
    for (std::uint64_t word = 0; word < (request.end - request.start + (4096 * 64 - 1)) / 4096 / 64; ++word) {
      reinterpret_cast<std::uint64_t*>(request.accessed)[word] = ~std::uint64_t{0};
      reinterpret_cast<std::uint64_t*>(request.dirty)[word] = 0x5555555555555555;
    }
  }
  // One run after the other, with a hole between, as many as there is room for.
  static void ranges(const morsel_info& object, morsel_ranges& request)
  {
    if (request.start >= request.end || request.end > object.bytes) throw RequestError(EINVAL, "asking for ranges");
    std::uint64_t at = request.start;
    for (; at < request.end && request.count < request.room; at += 8192)
      reinterpret_cast<morsel_run*>(request.runs)[request.count++] = {at, at + 4096, request.kind == 0 ? 3u : 0u, 0};
    request.next = at < request.end ? at : request.end;
  }
  static void add_view(morsel_info& object, morsel_view_add& request)
  {
    if (object.view_count == MORSEL_MAX_VIEWS) throw RequestError(ENOSPC, "adding a view");
    request.view = ++object.view_count;
    object.views[request.view - 1] = {
        .view = request.view, .format = request.format, .root_pa = 0xabc000, .root_level = 3, .attached = 0};
  }
  static void drop_view(morsel_info& object, morsel_view_drop& request)
  {
    if (request.view == 0 || request.view > MORSEL_MAX_VIEWS || object.views[request.view - 1].view == 0)
      throw RequestError(ENOENT, "dropping a view");
    object.views[request.view - 1] = {};
  }
  void add_rule(morsel_inject& request)
  {
    request.rule = static_cast<unsigned>(rules_.size() + 1);
    rules_.push_back(request);
  }
  void show_fired(morsel_fired& request)
  {
    if (request.sequence >= fired_.size()) throw RequestError(ENOENT, "nothing has fired");
    const std::uint64_t sequence = request.sequence + 1;
    request = fired_[request.sequence];
    request.sequence = sequence;
  }
  void show_rule(morsel_inject& request)
  {
    if (request.rule == 0 || request.rule > rules_.size()) throw RequestError(ENOENT, "no such rule");
    request = rules_[request.rule - 1];
  }

  bool loaded_ = true;
  unsigned last_id_ = 0;
  std::map<std::string, morsel_info> objects_;
  std::vector<morsel_inject> rules_;
  std::vector<morsel_fired> fired_;
};

}  // namespace morsel::agent
