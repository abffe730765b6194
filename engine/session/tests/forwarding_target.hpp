// SPDX-License-Identifier: GPL-2.0-or-later
//
// A target that passes everything on to another one: tests override what shall go wrong.
#pragma once
#include <memory>

#include "engine/session/target.hpp"

namespace morsel::session {

class ForwardingTarget : public Target {
 public:
  explicit ForwardingTarget(std::unique_ptr<Target> to) : to_(std::move(to)) {}

  TargetInfo info() const override { return to_->info(); }
  Counters counters() override { return to_->counters(); }
  const inspect::PhysicalMemory& memory() const override { return to_->memory(); }
  std::vector<ObjectState> objects() override { return to_->objects(); }
  ObjectState object(const std::string& name) override { return to_->object(name); }
  ObjectState create_object(const std::string& name, u64 bytes, std::optional<Level> level) override
  {
    return to_->create_object(name, bytes, level);
  }
  void destroy_object(const std::string& name) override { to_->destroy_object(name); }
  u64 populate(const std::string& name, Range range, Rights rights, Level level) override
  {
    return to_->populate(name, range, rights, level);
  }
  u64 unmap(const std::string& name, Range range) override { return to_->unmap(name, range); }
  u64 protect(const std::string& name, Range range, Rights rights) override
  {
    return to_->protect(name, range, rights);
  }
  void split(const std::string& name, Range range, Level level) override { to_->split(name, range, level); }
  u64 merge(const std::string& name, Range range, Level level) override { return to_->merge(name, range, level); }
  u64 migrate(const std::string& name, Range range) override { return to_->migrate(name, range); }
  HarvestReply harvest(const std::string& name, Range range) override { return to_->harvest(name, range); }
  std::vector<MappedRun> populated(const std::string& name, Range range) override
  {
    return to_->populated(name, range);
  }
  std::vector<Range> dirty(const std::string& name, Range range) override { return to_->dirty(name, range); }
  ObjectState clone_object(const std::string& base, const std::string& name) override
  {
    return to_->clone_object(base, name);
  }
  ViewState add_view(const std::string& name, FormatId format) override { return to_->add_view(name, format); }
  void drop_view(const std::string& name, TreeId view) override { to_->drop_view(name, view); }
  AccessReply access(const AccessRequest& request) override { return to_->access(request); }
  std::optional<WalkerCaches> cached(const std::string& name, TreeId tree) override { return to_->cached(name, tree); }
  u32 inject(const InjectRule& rule) override { return to_->inject(rule); }
  std::vector<InjectRule> injected() override { return to_->injected(); }
  void clear_injected() override { to_->clear_injected(); }
  ProgramResult run_program(const std::vector<std::string>& argv) override { return to_->run_program(argv); }
  u32 start_program(const std::vector<std::string>& argv) override { return to_->start_program(argv); }
  ProgramResult end_program(u32 pid) override { return to_->end_program(pid); }
  std::string kernel_log() override { return to_->kernel_log(); }
  void listen(std::function<void(const Event&)> listener) override { to_->listen(std::move(listener)); }

 private:
  std::unique_ptr<Target> to_;
};

}  // namespace morsel::session
