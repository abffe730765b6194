// SPDX-License-Identifier: GPL-2.0-or-later
//
// The journal of a VM: switched by the agent, read in the guest's memory.
#pragma once
#include <mutex>
#include <optional>

#include "testvm/host/journal_reader.hpp"
#include "testvm/host/vm_connection.hpp"

namespace morsel::testvm {

class VmJournal final : public session::JournalSource {
 public:
  VmJournal(VmConnection& connection, const inspect::PhysicalMemory& memory);
  // The guest stops recording, if it can still be told.
  ~VmJournal() override;
  VmJournal(const VmJournal&) = delete;
  VmJournal& operator=(const VmJournal&) = delete;

  void record(bool on) override { record(on, default_capacity_lg2); }
  // With rings of 2^capacity_lg2 records for each CPU.
  void record(bool on, u32 capacity_lg2);
  bool recording() const override;
  bool fills_up() const override { return true; }
  session::JournalRead read() override;

  static constexpr u32 default_capacity_lg2 = 15;

 private:
  VmConnection& connection_;
  const inspect::PhysicalMemory& memory_;
  mutable std::mutex mutex_;
  bool on_ = false;
  std::optional<JournalReader> reader_;
  session::JournalRead before_;  // of rings that were replaced, not read yet
};

}  // namespace morsel::testvm
