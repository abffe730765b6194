// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/journal_reader.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <span>

#include "engine/abi/morsel_ioctl.h"
#include "engine/abi/morsel_points.h"

namespace morsel::testvm {
namespace {

constexpr u64 record_words = sizeof(morsel_journal_record) / sizeof(u64);
constexpr u32 known_flags = MORSEL_RECORD_PRIVATE | MORSEL_RECORD_TABLE | MORSEL_RECORD_UNGATED | MORSEL_RECORD_LOST;

// The guest's CPUs write while this reads.
u64 load(const u64* word, std::memory_order order = std::memory_order_relaxed)
{
  return std::atomic_ref<u64>(*const_cast<u64*>(word)).load(order);
}

constexpr u64 word_index(std::size_t offset) { return offset / sizeof(u64); }

morsel_journal_record copy_record(const u64* words)
{
  std::array<u64, record_words> copy;
  for (u64 i = 0; i < record_words; ++i) copy[i] = load(words + i);
  return std::bit_cast<morsel_journal_record>(copy);
}

bool is_record(const morsel_journal_record& r)
{
  constexpr u8 highest_level = 4;
  return r.point < MORSEL_POINT_COUNT && r.tree <= MORSEL_MAX_VIEWS && r.level <= highest_level &&
         r.actor_kind <= MORSEL_ACTOR_RECLAIM && r.fault_action <= MORSEL_FAULT_CRASH && r.reserved == 0 &&
         (r.flags & ~known_flags) == 0;
}

}  // namespace

JournalReader::JournalReader(const inspect::PhysicalMemory& memory, const JournalRings& rings)
    : memory_(memory),
      capacity_(u64{1} << std::min<u32>(rings.capacity_lg2, MORSEL_JOURNAL_MAX_CAPACITY_LG2)),
      first_sequence_(rings.next_sequence),
      last_sequence_(rings.next_sequence - 1)
{
  for (u32 cpu = 0; cpu < rings.rings.size(); ++cpu)
    rings_.push_back({.at = rings.rings[cpu], .cpu = cpu, .waiting = {}});
}

// Null if the ring is not there, or its header is not what the module writes.
const u64* JournalReader::header(const Ring& ring) const
{
  const u64* const words = memory_.words(ring.at, page_bytes / sizeof(u64) + capacity_ * record_words);
  if (!words) return nullptr;
  morsel_journal_ring found;
  found.magic = load(words);
  const u64 sizes = load(words + word_index(offsetof(morsel_journal_ring, version)));
  const u64 place = load(words + word_index(offsetof(morsel_journal_ring, cpu)));
  const bool right = found.magic == MORSEL_JOURNAL_MAGIC && static_cast<u32>(sizes) == MORSEL_JOURNAL_VERSION &&
                     sizes >> 32 == sizeof(morsel_journal_record) && static_cast<u32>(place) == ring.cpu &&
                     u64{1} << (place >> 32 & 63) == capacity_ && place >> 32 < 64;
  return right ? words : nullptr;
}

void JournalReader::fetch(Ring& ring, session::JournalRead& result)
{
  const u64* const words = header(ring);
  if (!words) {
    ++result.garbage;
    return;
  }
  const u64* const counter = words + word_index(offsetof(morsel_journal_ring, written));
  const u64* const slots = words + page_bytes / sizeof(u64);
  const u64 written = load(counter, std::memory_order_acquire);
  if (written < ring.taken) {
    ++result.garbage;
    restarted_ = true;
    ring.taken = 0;
  }
  u64 from = written - ring.taken > capacity_ ? written - capacity_ : ring.taken;
  std::vector<morsel_journal_record> copies;
  for (u64 n = from; n != written; ++n) copies.push_back(copy_record(slots + n % capacity_ * record_words));
  // What has been written since then may have gone over the oldest copies, and one more may just be on its way.
  std::atomic_thread_fence(std::memory_order_acquire);
  const u64 now = load(counter, std::memory_order_acquire);
  const u64 safe = now - from >= capacity_ ? now - capacity_ + 1 : from;
  const u64 torn = std::min<u64>(safe - from, copies.size());
  result.lost += from - ring.taken + torn;
  ring.taken = written;
  for (const auto& record : std::span(copies).subspan(torn)) {
    if (is_record(record) && record.cpu == ring.cpu)
      ring.waiting.push_back(record);
    else
      ++result.garbage;
  }
}

void JournalReader::fetch_all(session::JournalRead& result)
{
  for (Ring& ring : rings_) fetch(ring, result);
  written_ = count_written();
}

// Read after the rings: who reads them one after the other may find records in the last that are younger than what it
// saw of the first, but none beyond this.
u64 JournalReader::count_written() const
{
  u64 count = 0;
  for (const Ring& ring : rings_) {
    const u64* const words = header(ring);
    count += words ? load(words + word_index(offsetof(morsel_journal_ring, written)), std::memory_order_acquire)
                   : ring.taken;
  }
  return count;
}

bool JournalReader::is_possible(u64 sequence) const
{
  return sequence > last_sequence_ && (restarted_ || sequence - first_sequence_ < written_);
}

u64 JournalReader::highest_sequence() const
{
  u64 highest = last_sequence_;
  for (const Ring& ring : rings_)
    for (const auto& record : ring.waiting)
      if (is_possible(record.sequence)) highest = std::max<u64>(highest, record.sequence);
  return highest;
}

// The ring whose next record comes first; what cannot be a next record is counted and forgotten.
JournalReader::Ring* JournalReader::lowest(session::JournalRead& result)
{
  Ring* best = nullptr;
  for (Ring& ring : rings_) {
    while (!ring.waiting.empty() && !is_possible(ring.waiting.front().sequence)) {
      ring.waiting.pop_front();
      ++result.garbage;
    }
    if (ring.waiting.empty()) continue;
    if (!best || ring.waiting.front().sequence < best->waiting.front().sequence) best = &ring;
  }
  return best;
}

session::JournalRead JournalReader::read()
{
  session::JournalRead result;
  fetch_all(result);
  const u64 complete = highest_sequence();
  fetch_all(result);
  for (Ring* next; (next = lowest(result)) && next->waiting.front().sequence <= complete;) {
    last_sequence_ = next->waiting.front().sequence;
    result.records.push_back(next->waiting.front());
    next->waiting.pop_front();
  }
  return result;
}

}  // namespace morsel::testvm
