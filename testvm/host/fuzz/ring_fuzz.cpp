// SPDX-License-Identifier: GPL-2.0-or-later
//
// Journals of a guest that lies, ring by ring: whatever it writes, the host counts it as garbage or lost, or shows
// tables at every place that can be read, compared and walked.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/abi/morsel_points.h"
#include "engine/session/recorder.hpp"
#include "engine/session/tests/forwarding_target.hpp"
#include "engine/session/verify.hpp"
#include "testvm/host/fuzz/ring_input.hpp"
#include "testvm/host/journal_reader.hpp"

namespace morsel::testvm {
namespace {

constexpr u32 cpus = 2, capacity_lg2 = 5;
constexpr u64 ring_bytes = page_bytes + (sizeof(morsel_journal_record) << capacity_lg2);
constexpr u64 rings_at = 0x100000, tables_at = 0x200000, table_pages = 64;
constexpr PhysAddr primary_root{tables_at}, view_root{tables_at + 16 * page_bytes};
constexpr Level primary_level = 1;
constexpr u64 object_bytes = u64{4} << 20;

void require(bool holds)
{
  if (!holds) std::abort();
}

// What is left of the input; behind its end there are zeros.
class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  u64 take(std::size_t count)
  {
    u64 value = 0;
    for (std::size_t i = 0; i < count && !bytes_.empty(); ++i, bytes_ = bytes_.subspan(1))
      value |= u64{bytes_[0]} << 8 * i;
    return value;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

class HostileGuest : public session::ForwardingTarget, public session::JournalSource {
 public:
  explicit HostileGuest(FormatId format)
      : ForwardingTarget(nullptr),
        rings_(cpus * ring_bytes / sizeof(u64)),
        tables_(table_pages * page_bytes / sizeof(u64)),
        memory_({{rings_at, cpus * ring_bytes, reinterpret_cast<const std::byte*>(rings_.data())},
                 {tables_at, table_pages * page_bytes, reinterpret_cast<const std::byte*>(tables_.data())}}),
        format_(format),
        reader_(memory_, {{{rings_at}, {rings_at + ring_bytes}}, capacity_lg2, 1})
  {
    for (u32 cpu = 0; cpu < cpus; ++cpu)
      ring(cpu) = {MORSEL_JOURNAL_MAGIC, MORSEL_JOURNAL_VERSION, sizeof(morsel_journal_record), cpu, capacity_lg2, 0};
  }

  session::TargetInfo info() const override { return {"vm", "hostile", "bytes", table_pages * page_bytes}; }
  const inspect::PhysicalMemory& memory() const override { return memory_; }
  std::vector<session::ObjectState> objects() override
  {
    session::ObjectState object;
    object.name = "o";
    object.id = 1;
    object.bytes = object_bytes;
    object.root = primary_root;
    object.root_level = primary_level;
    const auto top = static_cast<Level>(find_format(format_)->levels.size() - 1);
    if (has_view_) object.views.push_back({1, format_, view_root, top, 0});
    return {object};
  }
  session::JournalSource* journal() override { return this; }
  void record(bool on) override { on_ = on; }
  bool recording() const override { return on_; }
  session::JournalRead read() override { return reader_.read(); }

  // False: it wants to be read.
  bool step(Input& input)
  {
    switch (static_cast<RingStep>(input.take(1) % ring_steps)) {
      case RingStep::bytes: {
        const u64 at = input.take(2);
        reinterpret_cast<std::uint8_t*>(rings_.data())[at % (cpus * ring_bytes)] =
            static_cast<std::uint8_t>(input.take(1));
        return true;
      }
      case RingStep::record: return write_record(input), true;
      case RingStep::cursor: {
        auto& written = ring(static_cast<u32>(input.take(1) % cpus)).written;
        written += static_cast<u64>(std::int64_t{static_cast<std::int8_t>(input.take(1))});
        return true;
      }
      case RingStep::word: {
        const u64 at = input.take(2);
        tables_[at % tables_.size()] = word_of(input.take(4));
        return true;
      }
      case RingStep::sequence: sequence_ += input.take(1); return true;
      case RingStep::view: has_view_ = !has_view_; return true;
      default: return false;
    }
  }

 private:
  morsel_journal_ring& ring(u32 cpu)
  {
    return *reinterpret_cast<morsel_journal_ring*>(reinterpret_cast<std::byte*>(rings_.data()) + cpu * ring_bytes);
  }
  // The upper bits of an entry, and an address within the tables, are likelier than chance makes them.
  static u64 word_of(u64 bits)
  {
    const u64 low = bits & 0xfff, page = bits >> 12 & 0xff, high = bits >> 20 & 0xfff;
    return high << 52 | (page < table_pages * 2 ? tables_at + page * page_bytes : page << 32) | low;
  }
  void write_record(Input& input)
  {
    const u32 cpu = static_cast<u32>(input.take(1) % cpus);
    morsel_journal_record r{};
    r.sequence = ++sequence_;
    r.point = static_cast<u16>(input.take(1) % MORSEL_POINT_COUNT);
    r.tree = static_cast<u16>(input.take(1) % 3);
    r.level = static_cast<u8>(input.take(1) % 5);
    r.flags = static_cast<u32>(input.take(1) & 15);
    r.actor_kind = static_cast<u8>(input.take(1) % (MORSEL_ACTOR_RECLAIM + 1));
    r.fault_action = static_cast<u8>(input.take(1) % (MORSEL_FAULT_CRASH + 1));
    r.actor_id = static_cast<u32>(input.take(1) % 4);
    r.object_id = 1;
    r.object_offset = input.take(2) % (2 * object_bytes / page_bytes) * page_bytes;
    r.before = word_of(input.take(4));
    r.after = word_of(input.take(4));
    r.cpu = cpu;
    auto* const slots = reinterpret_cast<morsel_journal_record*>(reinterpret_cast<std::byte*>(&ring(cpu)) + page_bytes);
    slots[ring(cpu).written++ & ((1u << capacity_lg2) - 1)] = r;
  }

  std::vector<u64> rings_, tables_;
  const inspect::PhysicalMemory memory_;
  const FormatId format_;
  JournalReader reader_;
  u64 sequence_ = 0;
  bool on_ = false, has_view_ = true;
};

RingRun look_everywhere(session::Recorder& recorder)
{
  session::Chronicle& chronicle = recorder.chronicle();
  session::History& history = *chronicle.history;
  const session::Journal& journal = chronicle.journal;
  require(history.size() == journal.size());
  for (const std::size_t at : {std::size_t{0}, history.size() / 2, history.size()}) {
    history.go_to(at);
    require(history.position() == at);
    (void)history.is_exact(at);
    (void)session::verify(history.memory(), history.objects(), {&chronicle, at});
  }
  RingRun run{journal.size(), journal.lost, journal.garbage, 0};
  for (std::size_t r = 0; r < history.size(); ++r) run.changes += history.changes(r).size();
  return run;
}

}  // namespace

RingRun run_ring_input(std::span<const std::uint8_t> bytes)
{
  Input input(bytes);
  HostileGuest guest(format_table[input.take(1) % format_table.size()].id);
  session::Recorder recorder;
  recorder.start(guest);
  while (!input.empty())
    if (!guest.step(input)) recorder.sync(guest);
  recorder.stop(guest);
  require(recorder.ended().empty());
  return look_everywhere(recorder);
}

}  // namespace morsel::testvm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  morsel::testvm::run_ring_input({data, size});
  return 0;
}
