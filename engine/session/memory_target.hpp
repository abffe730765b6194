// SPDX-License-Identifier: GPL-2.0-or-later
//
// Memory that is only looked at, as a session's target: a dump, or the RAM of a guest of somebody else. Its objects are
// address spaces, each with a root that somebody names; roots beside it are its views.
//
// Thread safety: as every target.
#pragma once
#include <memory>

#include "engine/session/memory_layout.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

class MemoryTarget final : public Target, public Roots {
 public:
  using Cpus = std::function<std::vector<CpuState>()>;

  // `keep` holds what the segments point into.
  MemoryTarget(TargetInfo info, std::shared_ptr<const void> keep, std::vector<inspect::MemorySegment> segments,
               Cpus cpus);

  // The address spaces that the CPUs walk, each once: "cpu0", …
  void add_cpu_roots();

  TargetInfo info() const override { return info_; }
  Counters counters() override { return {}; }
  const inspect::PhysicalMemory& memory() const override { return memory_; }
  std::vector<ObjectState> objects() override { return objects_; }
  ObjectState object(const std::string& name) override { return find(name, "show " + name); }
  Roots* roots() override { return this; }

  std::vector<CpuState> cpus() override { return cpus_ ? cpus_() : std::vector<CpuState>{}; }
  ObjectState add_root(const std::string& name, const inspect::TreeSource& root) override;
  ViewState add_beside(const std::string& name, const inspect::TreeSource& root) override;
  void drop_root(const std::string& name) override;

  ObjectState create_object(const std::string& name, u64 bytes, std::optional<Level> root_level) override;
  void destroy_object(const std::string& name) override;
  u64 populate(const std::string& name, Range range, Rights rights, Level leaf_level) override;
  u64 unmap(const std::string& name, Range range) override;
  u64 protect(const std::string& name, Range range, Rights rights) override;
  void split(const std::string& name, Range range, Level leaf_level) override;
  u64 merge(const std::string& name, Range range, Level leaf_level) override;
  u64 migrate(const std::string& name, Range range) override;
  HarvestReply harvest(const std::string& name, Range range) override;
  std::vector<MappedRun> populated(const std::string& name, Range range) override;
  std::vector<Range> dirty(const std::string& name, Range range) override;
  ObjectState clone_object(const std::string& base, const std::string& name) override;
  ViewState add_view(const std::string& name, FormatId format) override;
  void drop_view(const std::string& name, TreeId view) override;
  AccessReply access(const AccessRequest& request) override;
  u32 inject(const InjectRule& rule) override;
  std::vector<InjectRule> injected() override { return {}; }
  void clear_injected() override {}
  ProgramResult run_program(const std::vector<std::string>& argv) override;
  u32 start_program(const std::vector<std::string>& argv) override;
  ProgramResult end_program(u32 pid) override;
  std::string kernel_log() override { return {}; }
  void listen(std::function<void(const Event&)>) override {}  // nothing happens here

 private:
  [[noreturn]] void refuse(const std::string& tried) const;
  ObjectState& find(const std::string& name, const std::string& tried);
  void check_root(const std::string& tried, const inspect::TreeSource& root) const;

  TargetInfo info_;
  std::shared_ptr<const void> keep_;
  inspect::PhysicalMemory memory_;
  Cpus cpus_;
  std::vector<ObjectState> objects_;
  u32 last_id_ = 0;
};

// A dump's file; roots are those of its CPUs and its kernel ("kernel"), where it tells them.
std::unique_ptr<MemoryTarget> open_dump(const std::string& path, std::optional<MemoryLayout> layout);

}  // namespace morsel::session
