// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/embedded_target.hpp"
#include "engine/morsel/object.hpp"

#include <gtest/gtest.h>

#include "engine/inspect/diff.hpp"

namespace morsel::sim {
namespace {

using session::AccessOutcome;
using session::Failure;
constexpr u64 KiB = 1024, MiB = 1024 * KiB;

std::unique_ptr<session::Target> target() { return make_embedded_target(u64{64} * MiB); }

TEST(EmbeddedTarget, ReadsThroughAViewWhatWasWrittenThroughThePrimary)
{
  const auto t = target();
  t->create_object("a", 1 * MiB, {});
  const session::ViewState view = t->add_view("a", FormatId::ept);
  const auto written = t->access({"a", primary_tree, 8 * KiB + 16, right_write, 0x1234, true});
  EXPECT_EQ(written.outcome, AccessOutcome::populated);
  const auto read = t->access({"a", view.number, 8 * KiB + 16, right_read, 0, false});
  EXPECT_EQ(read.outcome, AccessOutcome::filled);
  EXPECT_EQ(read.value, 0x1234u);
  EXPECT_EQ(t->access({"a", view.number, 8 * KiB, right_read, 0, false}).outcome, AccessOutcome::hit);
  EXPECT_EQ(t->access({"a", view.number, 0, right_read, 0, false}).outcome, AccessOutcome::denied);
  EXPECT_EQ(t->access({"a", view.number, 0, right_write, 7, true}).outcome, AccessOutcome::populated);
  EXPECT_EQ(t->access({"a", primary_tree, 0, right_read, 0, false}).value, 7u);
}

TEST(EmbeddedTarget, ItsMemoryShowsTheTreesToTheInspector)
{
  const auto t = target();
  t->create_object("a", 4 * MiB, {});
  t->add_view("a", FormatId::npt);
  t->populate("a", {0, 64 * KiB}, rights_rw, 0);
  t->access({"a", 1, 4 * KiB, right_read, 0, false});
  const session::ObjectState o = t->object("a");
  const auto p = inspect::Snapshot::take(t->memory(), o.source(), o.range());
  const auto v = inspect::Snapshot::take(t->memory(), o.views[0].source(), o.range());
  const auto d = inspect::Diff::compare(p, v, o.range());
  EXPECT_TRUE(d.clean());
  EXPECT_EQ(d.pages(inspect::DiffState::same), 1u);
  EXPECT_EQ(d.pages(inspect::DiffState::unfilled), 15u);
  EXPECT_EQ(p.table_count() + v.table_count(), o.tables);
}

TEST(EmbeddedTarget, SaysWhatWasTriedFoundAndToDo)
{
  const auto t = target();
  t->create_object("a", 1 * MiB, {});
  const auto message = [](auto&& request) -> std::string {
    try {
      request();
    } catch (const Failure& f) {
      return f.what();
    }
    return "no failure";
  };
  EXPECT_NE(message([&] { t->create_object("a", 1 * MiB, {}); }).find("exists"), std::string::npos);
  EXPECT_NE(message([&] { t->create_object("b", 100, {}); }).find("multiple of 4 KiB"), std::string::npos);
  EXPECT_NE(message([&] { t->create_object("b/c", 4096, {}); }).find("'/'"), std::string::npos);
  EXPECT_NE(message([&] { t->object("x"); }).find("none of this name"), std::string::npos);
  EXPECT_NE(message([&] { t->populate("a", {0, 2 * MiB}, rights_rw, 0); }).find("0x100000"), std::string::npos);
  EXPECT_NE(message([&] { t->access({"a", 3, 0, right_read, 0, true}); }).find("view 3"), std::string::npos);
  EXPECT_NE(message([&] { t->access({"a", 0, 4, right_read, 0, true}); }).find("multiple of 8"), std::string::npos);
  EXPECT_NE(message([&] { t->run_program({"ls"}); }).find("no guest"), std::string::npos);
  EXPECT_EQ(t->object("a").frames, 0u);
}

TEST(EmbeddedTarget, EveryThingIsGivenBack)
{
  const auto t = target();
  for (std::size_t round = 0; round < 3; ++round) {
    t->create_object("a", 8 * MiB, Level{2});
    t->populate("a", {0, 8 * MiB}, rights_rw, 1);
    for (std::size_t i = 0; i < max_views; ++i) t->add_view("a", format_table[(round + i) % format_table.size()].id);
    for (TreeId v = 1; v <= max_views; ++v) t->access({"a", v, 2 * MiB, right_write, 1, true});
    t->drop_view("a", 2);
    t->destroy_object("a");
    const session::Counters c = t->counters();
    EXPECT_EQ(c.objects + c.views + c.tables + c.frames, 0u);
  }
}

// Its frames were another object's, and dirty there.
TEST(EmbeddedTarget, ANewObjectWasWrittenByNobody)
{
  const auto t = target();
  for (const bool again : {false, true}) {
    t->create_object("a", 1 * MiB, {});
    t->populate("a", {0, 64 * KiB}, rights_rw, 0);
    EXPECT_TRUE(t->harvest("a", {0, 64 * KiB}).dirty.empty()) << again;
    t->access({"a", primary_tree, 4 * KiB, right_write, 1, false});
    t->unmap("a", {4 * KiB, 8 * KiB});
    t->destroy_object("a");
  }
}

// The first try of the copy is cancelled by a filler that comes in between.
TEST(EmbeddedTarget, AnAccessThatGivesWayToAFillerCopiesInTheEnd)
{
  const auto t = target();
  t->create_object("base", 1 * MiB, {});
  t->access({"base", primary_tree, 0, right_write, 7, true});
  t->clone_object("base", "a");
  t->inject({.point = SyncPoint::install, .action = MORSEL_FAULT_FAIL, .times = 3});
  const auto written = t->access({"a", primary_tree, 0, right_write, 8, true});
  EXPECT_EQ(written.outcome, AccessOutcome::copied);
  EXPECT_EQ(t->access({"a", primary_tree, 0, right_read, 0, false}).value, 8u);
  EXPECT_EQ(t->access({"base", primary_tree, 0, right_read, 0, false}).value, 7u);
}

TEST(EmbeddedTarget, ClonesAreGivenBackBeforeTheirBase)
{
  auto t = target();
  t->create_object("a", 4 * MiB, {});
  t->populate("a", {0, 64 * KiB}, rights_rw, 0);
  t->clone_object("a", "b");
  t->access({"b", primary_tree, 0, right_write, 1, true});
  t->clone_object("b", "c");
  EXPECT_THROW(t->destroy_object("a"), Failure);
  EXPECT_THROW(t->destroy_object("b"), Failure);
  EXPECT_THROW(t->clone_object("a", "b"), Failure);
  EXPECT_EQ(t->object("a").clones, 1u);
  t->destroy_object("c");
  EXPECT_EQ(t->object("b").clones, 0u);
  EXPECT_TRUE(t->object("b").frozen);
  t.reset();  // those that are left go in the right order
}

TEST(EmbeddedTarget, ACopyThatFindsNoMemoryChangesNothing)
{
  const auto t = target();
  t->create_object("a", 4 * MiB, {});
  t->access({"a", primary_tree, 0, right_write, 5, true});
  t->clone_object("a", "b");
  t->inject({0, SyncPoint::alloc, MORSEL_FAULT_FAIL, primary_tree, 1, 1, 0});
  EXPECT_THROW(t->access({"b", primary_tree, 0, right_write, 6, true}), Failure);
  EXPECT_EQ(t->access({"b", primary_tree, 0, right_read, 0, false}).value, 5u);
  EXPECT_EQ(t->access({"b", primary_tree, 0, right_write, 6, true}).outcome, AccessOutcome::copied);
}

TEST(EmbeddedTarget, AFillThatNeverWorksEndsWithAClearMessage)
{
  const auto t = target();
  t->create_object("a", 1 * MiB, {});
  t->add_view("a", FormatId::ept);
  t->inject({0, SyncPoint::publish, MORSEL_FAULT_DROP, {}, 1, 1000, 0});
  EXPECT_THROW(t->access({"a", 1, 0, right_read, 0, true}), Failure);
  t->clear_injected();
  EXPECT_EQ(t->access({"a", 1, 0, right_read, 0, true}).outcome, AccessOutcome::filled);
}

TEST(EmbeddedTarget, TellsItsListenerWhatChanged)
{
  const auto t = target();
  std::vector<std::string> heard;
  t->listen([&](const session::Event& e) { heard.push_back(e.object); });
  t->create_object("a", 1 * MiB, {});
  t->populate("a", {0, 4 * KiB}, rights_rw, 0);
  t->destroy_object("a");
  EXPECT_EQ(heard, (std::vector<std::string>{"a", "a", "a"}));
}

}  // namespace
}  // namespace morsel::sim
