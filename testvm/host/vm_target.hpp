// SPDX-License-Identifier: GPL-2.0-or-later
//
// The test VM as a session's target: requests go to the agent and the module, memory is read directly.
#pragma once
#include <memory>

#include "engine/session/target.hpp"
#include "engine/session/waiting.hpp"
#include "testvm/host/guest_memory.hpp"
#include "testvm/host/vm_journal.hpp"
#include "testvm/host/vm_stepping.hpp"

namespace morsel::testvm {

class VmTarget final : public session::Target, public session::Waiting {
 public:
  // A VM of this target's own: it ends with the target.
  static std::unique_ptr<VmTarget> start(const VmConfig& config);
  // A VM that `vm up` started; it stays.
  static std::unique_ptr<VmTarget> attach(const std::string& name);

  // Maps the guest's memory, and checks with the guest's help that the mapping is right.
  explicit VmTarget(std::unique_ptr<VmConnection> connection);
  ~VmTarget() override;

  const VmInfo& vm() const { return connection_->info(); }
  VmConnection& connection() { return *connection_; }

  session::TargetInfo info() const override;
  session::Counters counters() override;
  const inspect::PhysicalMemory& memory() const override { return memory_.physical(); }

  std::vector<session::ObjectState> objects() override;
  session::ObjectState object(const std::string& name) override;
  session::ObjectState create_object(const std::string& name, u64 bytes, std::optional<Level> root_level) override;
  void destroy_object(const std::string& name) override;
  u64 populate(const std::string& name, Range range, Rights rights, Level leaf_level) override;
  u64 unmap(const std::string& name, Range range) override;
  u64 protect(const std::string& name, Range range, Rights rights) override;
  void split(const std::string& name, Range range, Level leaf_level) override;
  u64 merge(const std::string& name, Range range, Level leaf_level) override;
  u64 migrate(const std::string& name, Range range) override;
  session::HarvestReply harvest(const std::string& name, Range range) override;
  std::vector<session::MappedRun> populated(const std::string& name, Range range) override;
  std::vector<Range> dirty(const std::string& name, Range range) override;
  // Refused: clones are the embedded machine's for now.
  session::ObjectState clone_object(const std::string& base, const std::string& name) override;

  session::ViewState add_view(const std::string& name, FormatId format) override;
  void drop_view(const std::string& name, TreeId view) override;
  session::AccessReply access(const session::AccessRequest& request) override;

  u32 inject(const session::InjectRule& rule) override;
  std::vector<session::InjectRule> injected() override;
  void clear_injected() override;

  VmStepping* stepping() override { return &stepping_; }
  VmJournal* journal() override { return &journal_; }

  session::ProgramResult run_program(const std::vector<std::string>& argv) override;
  session::ProgramResult run_until(const std::vector<std::string>& argv, const std::stop_token& told) override;
  void give_up() override { connection_->give_up(); }
  u32 start_program(const std::vector<std::string>& argv) override;
  session::ProgramResult end_program(u32 pid) override;
  std::string kernel_log() override;

  void listen(std::function<void(const session::Event&)> listener) override;

 private:
  void check_memory();
  std::vector<session::MappedRun> ranges(const std::string& name, Range range, bool dirty);

  std::unique_ptr<VmConnection> connection_;
  GuestMemory memory_;
  VmJournal journal_;
  VmStepping stepping_;
};

}  // namespace morsel::testvm
