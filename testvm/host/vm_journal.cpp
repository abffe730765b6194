// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/vm_journal.hpp"

#include <utility>

#include "testvm/host/target_json.hpp"

namespace morsel::testvm {

VmJournal::VmJournal(VmConnection& connection, const inspect::PhysicalMemory& memory)
    : connection_(connection), memory_(memory)
{
}

VmJournal::~VmJournal()
{
  try {
    if (on_ && !connection_.lost()) connection_.request("journal", {{"on", false}});
  } catch (const session::Failure&) {
    // The guest is gone, or goes: it records for nobody.
  }
}

void VmJournal::record(bool on, u32 capacity_lg2)
{
  const std::lock_guard lock(mutex_);
  if (!on) {
    connection_.request("journal", {{"on", false}});
    on_ = false;
    return;
  }
  // Rings that are switched on begin empty: what is in them is fetched first, when nothing more comes.
  if (reader_) {
    connection_.request("journal", {{"on", false}});
    on_ = false;
    session::JournalRead rest = reader_->read();
    before_.records.insert(before_.records.end(), rest.records.begin(), rest.records.end());
    before_.lost += rest.lost;
    before_.garbage += rest.garbage;
  }
  reader_.reset();
  reader_.emplace(memory_,
                  rings_from_json(connection_.request("journal", {{"on", true}, {"capacity_lg2", capacity_lg2}})));
  on_ = true;
}

bool VmJournal::recording() const
{
  const std::lock_guard lock(mutex_);
  return on_;
}

session::JournalRead VmJournal::read()
{
  const std::lock_guard lock(mutex_);
  session::JournalRead result = std::exchange(before_, {});
  if (!reader_) return result;
  session::JournalRead more = reader_->read();
  result.lost += more.lost;
  result.garbage += more.garbage;
  if (result.records.empty())
    result.records = std::move(more.records);
  else
    result.records.insert(result.records.end(), more.records.begin(), more.records.end());
  return result;
}

}  // namespace morsel::testvm
