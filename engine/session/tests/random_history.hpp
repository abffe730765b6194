// SPDX-License-Identifier: GPL-2.0-or-later
//
// History against a machine: operations by chance, real snapshots of its memory on the way, and the tables as history
// shows them at those places, entry by entry, in whichever order they are gone to.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "engine/session/history.hpp"
#include "engine/session/recorder.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

// What is random in a run: MORSEL_SEED, or the same each time.
inline u64 first_seed()
{
  const char* given = std::getenv("MORSEL_SEED");
  return given ? std::strtoull(given, nullptr, 0) : 20261120;
}

inline std::vector<inspect::Snapshot> trees_of(const inspect::PhysicalMemory& memory,
                                               const std::vector<ObjectState>& objects)
{
  std::vector<inspect::Snapshot> trees;
  for (const ObjectState& o : objects) {
    trees.push_back(inspect::Snapshot::take(memory, o.source(), o.range()));
    for (const ViewState& v : o.views) trees.push_back(inspect::Snapshot::take(memory, v.source(), o.range()));
  }
  return trees;
}

// But for the accessed and dirty bits that hardware sets, which no record tells.
inline void expect_same(const inspect::Snapshot& was, const inspect::Snapshot& shown)
{
  const u64 compared = ~hardware_bits(was.format());
  ASSERT_EQ(shown.table_count(), was.table_count());
  for (u32 t = 0; t < was.table_count(); ++t) {
    ASSERT_EQ(shown.table_address(t), was.table_address(t));
    for (std::size_t i = 0; i < was.words(t).size(); ++i)
      ASSERT_EQ(shown.words(t)[i] & compared, was.words(t)[i] & compared)
          << "entry " << i << " of the level-" << int{was.table_level(t)} << " table at " << was.table_offset(t);
  }
}

// What an object holds may change while nobody does anything: frames that are being freed, mappings of a process that
// has just ended. No record tells.
inline std::vector<ObjectState> without_counts(std::vector<ObjectState> objects)
{
  for (ObjectState& o : objects) {
    o.attached = 0;
    o.tables = o.frames = 0;
    for (ViewState& v : o.views) v.attached = 0;
  }
  return objects;
}

// All trees of all objects as they stood in the machine.
class Seen {
 public:
  // Nobody may be in the middle of something.
  Seen(Target& target, Recorder& recorder)
  {
    recorder.sync(target);
    position_ = recorder.chronicle().journal.size();
    objects_ = recorder.chronicle().history->objects();
    EXPECT_EQ(without_counts(objects_), without_counts(target.objects()));
    trees_ = trees_of(target.memory(), objects_);
  }
  void expect_shown_by(Recorder& recorder) const
  {
    SCOPED_TRACE("position " + std::to_string(position_));
    recorder.go_to(position_);
    const History& history = *recorder.chronicle().history;
    EXPECT_TRUE(history.is_exact(position_));
    ASSERT_EQ(without_counts(history.objects()), without_counts(objects_));
    const auto shown = trees_of(history.memory(), objects_);
    for (std::size_t t = 0; t < shown.size(); ++t) ASSERT_NO_FATAL_FAILURE(expect_same(trees_[t], shown[t]));
  }

 private:
  std::size_t position_ = 0;
  std::vector<ObjectState> objects_;
  std::vector<inspect::Snapshot> trees_;
};

// Backwards, forwards, and to and fro.
inline void expect_all_shown(const std::vector<Seen>& seen, Recorder& recorder, u64 seed)
{
  for (auto s = seen.rbegin(); s != seen.rend(); ++s) ASSERT_NO_FATAL_FAILURE(s->expect_shown_by(recorder));
  for (const Seen& s : seen) ASSERT_NO_FATAL_FAILURE(s.expect_shown_by(recorder));
  std::mt19937_64 random(seed);
  for (int n = 0; n < 50; ++n) ASSERT_NO_FATAL_FAILURE(seen[random() % seen.size()].expect_shown_by(recorder));
}

class RandomOperations {
 public:
  static constexpr u64 object_bytes = u64{8} << 20, large = u64{2} << 20;

  // `most_pages`: of one operation on small ones.
  RandomOperations(Target& target, u64 seed, u64 most_pages) : target_(target), random_(seed), most_pages_(most_pages)
  {
  }

  void any() { one(0, kinds); }
  // Which objects and views there are.
  void shape() { one(0, shapes); }
  // What they map: all objects and views stay.
  void pages() { one(shapes, kinds); }

 private:
  static constexpr u64 shapes = 5, kinds = 14;

  void one(u64 from, u64 to)
  {
    try {
      perform(from + number(to - from));
    } catch (const Failure&) {  // refused: of no object, no view, a frozen base, …; also recorded
    }
  }
  u64 number(u64 below) { return random_() % below; }
  Range some_pages()
  {
    const u64 first = number(object_bytes / page_bytes), count = 1 + number(number(4) == 0 ? most_pages_ : 16);
    return intersect({first * page_bytes, (first + count) * page_bytes}, {0, object_bytes});
  }

  void perform(u64 which)
  {
    const std::vector<ObjectState> objects = target_.objects();
    if (which < shapes && (objects.empty() || (which == 0 && objects.size() < 3))) return create();
    if (objects.empty()) return;
    const ObjectState& object = objects[number(objects.size())];
    const TreeId view = object.views.empty() ? primary_tree : object.views[number(object.views.size())].number;
    if (which < shapes)
      change_shape(which, object, view, objects.size());
    else
      change_pages(which - shapes, object.name, view);
  }

  void create()
  {
    const Level root = number(2) == 0 ? 1 : 2;
    target_.create_object("o" + std::to_string(++made_), object_bytes, root);
  }

  void change_shape(u64 which, const ObjectState& object, TreeId view, std::size_t objects)
  {
    switch (which) {
      case 1:
        if (objects < 4) target_.clone_object(object.name, "c" + std::to_string(++made_));
        break;
      case 2:
        if (number(3) == 0) target_.drop_view(object.name, view);
        break;
      case 3:
        if (number(6) == 0) target_.destroy_object(object.name);
        break;
      default: target_.add_view(object.name, format_table[number(format_table.size())].id);
    }
  }

  void change_pages(u64 which, const std::string& object, TreeId view)
  {
    switch (which) {
      case 0: target_.populate(object, some_pages(), rights_rw, 0); break;
      case 1: target_.populate(object, {number(object_bytes / large) * large, object_bytes}, rights_rw, 1); break;
      case 2: target_.unmap(object, some_pages()); break;
      case 3: target_.protect(object, some_pages(), number(2) == 0 ? right_read : rights_rw); break;
      case 4: target_.split(object, some_pages(), 0); break;
      case 5: target_.merge(object, {0, object_bytes}, 1); break;
      case 6: target_.migrate(object, some_pages()); break;
      case 7: target_.harvest(object, {0, object_bytes}); break;
      default:
        for (int n = 0; n < 8; ++n)
          target_.access({object, view, number(object_bytes / 8) * 8, number(2) == 0 ? right_read : right_write});
    }
  }

  Target& target_;
  std::mt19937_64 random_;
  const u64 most_pages_;
  u64 made_ = 0;
};

}  // namespace morsel::session
