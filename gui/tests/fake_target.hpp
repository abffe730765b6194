// SPDX-License-Identifier: GPL-2.0-or-later
//
// A target for tests: a vector of words as memory, tables made with the format headers, and one page for every state
// that a view can be in. No engine runs behind it, so it can hold what the engine would never write.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/session/aligned.hpp"
#include "engine/session/target.hpp"

namespace morsel::gui {

class FakeTarget : public session::Target {
 public:
  static constexpr u64 memory_start = 0x100000;
  static constexpr u64 table_count = 64;
  static constexpr u64 frames_start = 0x7f000000;

  FakeTarget();

  // "demo": 4 MiB, root level 1. Its pages 0 to 7: same, unfilled, reserved, rights (fewer), rights (more), format,
  // frame, stale; everything else a hole.
  void addDemo();
  session::ObjectState& addObject(const std::string& name, u64 bytes, Level root_level);
  template <class F>
  session::ViewState& addView(session::ObjectState& object);
  // Writes an entry; makes the tables above it.
  template <class F>
  void put(session::ObjectState& object, TreeId tree, u64 offset, Level level, u64 word);
  // The word of an entry whose tables exist.
  template <class F>
  u64& entry(session::ObjectState& object, TreeId tree, u64 offset, Level level);
  session::ObjectState& demo() { return objects_.at("demo"); }
  static u64 frame(u64 page) { return frames_start + page * page_bytes; }

  void tell(const session::Event& event);
  void remove(const std::string& name) { objects_.erase(name); }
  int objectRequests() const { return object_requests_; }
  void failRequests(const session::Failure& failure) { failure_ = failure; }

  session::TargetInfo info() const override { return {"fake", "fake", "no machine at all", memory_.size() * 8}; }
  session::Counters counters() override { return {}; }
  const inspect::PhysicalMemory& memory() const override { return physical_; }
  std::vector<session::ObjectState> objects() override;
  session::ObjectState object(const std::string& name) override { return objects_.at(name); }
  void listen(std::function<void(const session::Event&)> listener) override;

  session::ObjectState create_object(const std::string&, u64, std::optional<Level>) override { refuse(); }
  void destroy_object(const std::string&) override { refuse(); }
  u64 populate(const std::string&, Range, Rights, Level) override { refuse(); }
  u64 unmap(const std::string&, Range) override { refuse(); }
  u64 protect(const std::string&, Range, Rights) override { refuse(); }
  void split(const std::string&, Range, Level) override { refuse(); }
  u64 merge(const std::string&, Range, Level) override { refuse(); }
  u64 migrate(const std::string&, Range) override { refuse(); }
  session::HarvestReply harvest(const std::string&, Range) override { refuse(); }
  std::vector<session::MappedRun> populated(const std::string&, Range) override { refuse(); }
  std::vector<Range> dirty(const std::string&, Range) override { refuse(); }
  session::ObjectState clone_object(const std::string&, const std::string&) override { refuse(); }
  session::ViewState add_view(const std::string&, FormatId) override { refuse(); }
  void drop_view(const std::string&, TreeId) override { refuse(); }
  session::AccessReply access(const session::AccessRequest&) override { refuse(); }
  u32 inject(const session::InjectRule&) override { refuse(); }
  std::vector<session::InjectRule> injected() override { return {}; }
  void clear_injected() override { refuse(); }
  session::ProgramResult run_program(const std::vector<std::string>&) override { refuse(); }
  u32 start_program(const std::vector<std::string>&) override { refuse(); }
  session::ProgramResult end_program(u32) override { refuse(); }
  std::string kernel_log() override { return {}; }

 private:
  [[noreturn]] static void refuse()
  {
    throw session::Failure(session::Exit::usage, "ask the fake target", "it only shows what it was given");
  }
  PhysAddr newTable();
  u64* table(PhysAddr at) { return memory_.data() + (at.value - memory_start) / 8; }
  PhysAddr rootOf(const session::ObjectState& object, TreeId tree) const;
  Level rootLevelOf(const session::ObjectState& object, TreeId tree) const;

  std::vector<u64> memory_;
  inspect::PhysicalMemory physical_;
  u64 used_tables_ = 0;
  std::map<std::string, session::ObjectState> objects_;
  std::mutex listener_mutex_;
  std::function<void(const session::Event&)> listener_;
  int object_requests_ = 0;
  std::optional<session::Failure> failure_;
};

template <class F>
session::ViewState& FakeTarget::addView(session::ObjectState& object)
{
  const auto number = static_cast<TreeId>(object.views.size() + 1);
  object.views.push_back({number, F::id, newTable(), top_level<F>, 0});
  return object.views.back();
}

template <class F>
u64& FakeTarget::entry(session::ObjectState& object, TreeId tree, u64 offset, Level level)
{
  PhysAddr at = rootOf(object, tree);
  for (Level l = rootLevelOf(object, tree); l > level; --l) {
    u64& word = table(at)[entry_index<F>(offset, l)];
    if (F::kind(word, l) != EntryKind::table) word = F::make_table(newTable(), l);
    at = F::address(word, l);
  }
  return table(at)[entry_index<F>(offset, level)];
}

template <class F>
void FakeTarget::put(session::ObjectState& object, TreeId tree, u64 offset, Level level, u64 word)
{
  entry<F>(object, tree, offset, level) = word;
}

// The demo object alone, read and aligned.
std::shared_ptr<const session::AlignedTree> capture(FakeTarget& target, const std::string& name = "demo");

}  // namespace morsel::gui
