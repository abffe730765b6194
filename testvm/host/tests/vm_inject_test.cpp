// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults injected into a real kernel: they do what they do in the embedded machine; the session says what is broken.
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "engine/session/presets.hpp"
#include "engine/session/session.hpp"
#include "engine/session/tests/preset_cases.hpp"
#include "engine/sim/embedded_target.hpp"
#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::testvm {
namespace {

using session::Failure;
using session::InjectRule;

class VmInjectTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { session = std::make_unique<session::Session>(VmTarget::start(test_config())); }
  static void TearDownTestSuite() { session.reset(); }
  void SetUp() override
  {
    run("object create o 4M");
    run("object populate o 0..64K");
    run("view add o ept");
    for (int page = 0; page < 8; ++page) run("access o ept " + std::to_string(page * 4096) + " read");
  }
  void TearDown() override
  {
    run("inject clear");
    for (const auto& object : target().objects()) target().destroy_object(object.name);
    const session::Counters left = target().counters();
    EXPECT_EQ(left.objects + left.views + left.tables + left.frames + left.bad_entries, 0u);
    const std::string log = target().kernel_log();
    for (const char* alarm : {"BUG", "WARNING", "Oops", "Call Trace"}) EXPECT_EQ(log.find(alarm), std::string::npos);
  }
  static session::Json run(const std::string& line) { return session->execute_line(line).facts; }
  static session::Target& target() { return session->target(); }
  // The points that were passed, of those that are asked for, during `work`.
  template <class Work>
  static std::vector<morsel_journal_record> records(std::initializer_list<SyncPoint> points, Work&& work)
  {
    target().journal()->record(true);
    work();
    target().journal()->record(false);
    std::vector<morsel_journal_record> found;
    for (const auto& r : target().journal()->read().records)
      if (std::find(points.begin(), points.end(), static_cast<SyncPoint>(r.point)) != points.end()) found.push_back(r);
    return found;
  }
  // The invariant that the session says is broken after this; empty if none is.
  static std::string broken_by(const std::string& line)
  {
    const session::Json facts = run(line);
    return facts.contains("violations") ? facts["violations"][0]["invariant"].get<std::string>() : "";
  }
  static bool is_broken(const std::string& invariant, u64 offset)
  {
    const session::Json list = run("verify")["violations"];
    for (const session::Json& violation : list)
      if (violation["invariant"] == invariant && violation["range"]["start"].get<u64>() <= offset &&
          violation["range"]["end"].get<u64>() > offset)
        return true;
    return false;
  }
  static u64 fired() { return target().injected().at(0).fired; }

  static std::unique_ptr<session::Session> session;
};
std::unique_ptr<session::Session> VmInjectTest::session;

// Both have a view of the number 1.
TEST_F(VmInjectTest, APresetStrikesItsObjectOnly)
{
  run("object create spared 4M");
  run("view add spared ept");
  run("access spared ept 0 read");
  const session::Reply added = session->execute_line("inject preset lost-invalidation o ept");
  EXPECT_NE(added.text.find("of view 1 of o"), std::string::npos) << added.text;
  EXPECT_EQ(broken_by("object unmap spared 0"), "");
  EXPECT_EQ(fired(), 0u);
  EXPECT_EQ(broken_by("object unmap o 0"), "I2");
  EXPECT_EQ(run("inject list")["rules"][0]["object"], "o");
}

TEST_F(VmInjectTest, EachPresetDoesWhatItSays)
{
  const auto inject = [](const std::string& preset, const char* view = " 1") {
    run("inject clear");
    run("inject preset " + preset + " o" + view);
  };
  inject("lost-invalidation");
  EXPECT_EQ(broken_by("object unmap o 0x1000"), "I2");
  EXPECT_EQ(fired(), 1u);

  for (const std::string preset : {"dropped-flush", "wrong-range"}) {
    inject(preset);
    const auto flushes = records({SyncPoint::flush}, [&] {
      run("object unmap o " + std::string(preset == "wrong-range" ? "0x2000" : "0x3000"));
    });
    EXPECT_EQ(fired(), 1u) << preset;
    ASSERT_FALSE(flushes.empty());
    EXPECT_EQ(flushes[0].fault_action, preset == "wrong-range" ? MORSEL_FAULT_CORRUPT : MORSEL_FAULT_DROP);
    EXPECT_EQ(flushes[0].before, preset == "wrong-range" ? (u64{1} << 40) + 0x2000 : 0x3000u);
  }

  u64 page = 8 * page_bytes;
  const auto next_page = [&] { return "o ept " + std::to_string((page += page_bytes) - page_bytes) + " read"; };
  for (const std::string preset : {"reserved-bit", "ept-misconfiguration"}) {
    inject(preset);
    EXPECT_THROW(run("access " + next_page()), Failure) << "no fill mends the leaf: " << preset;
    EXPECT_EQ(fired(), 1u) << preset;
    EXPECT_TRUE(is_broken("I1", page - page_bytes)) << preset;
  }
  inject("rights-widened");
  run("object protect o 0xa000 r");
  EXPECT_EQ(broken_by("access " + next_page()), "I1");
  EXPECT_EQ(fired(), 1u);
  // The frame beside has to be the object's, too: that of a split leaf is.
  run("object populate o 2M..4M --leaf 2M");
  run("object split o 2M..4M");
  inject("wrong-frame");
  EXPECT_EQ(broken_by("access o ept 2M read"), "I1");
  EXPECT_EQ(fired(), 1u);

  run("access o primary 0x4000 write --value 7");
  run("access o primary 0x4ff8 write --value 7");
  inject("torn-copy", "");
  run("object migrate o 0x4000");
  EXPECT_EQ(fired(), 1u);
  EXPECT_EQ(run("access o primary 0x4000 read")["value"], "0x7");
  EXPECT_EQ(run("access o primary 0x4ff8 read")["value"], "0x0");

  run("object harvest o all");
  run("access o ept 0x5000 write --value 1");
  inject("lost-dirty-bit", "");
  run("object protect o 0x5000 r");
  EXPECT_EQ(fired(), 1u);
  EXPECT_TRUE(run("object harvest o 0x5000")["dirty"].empty());
}

// The same table as for the embedded machine, but for the frame beside, which has to be the object's: the test before
// splits a leaf for that.
TEST_F(VmInjectTest, VerifyTellsEveryPreset)
{
  run("object destroy o");
  run("journal on");
  for (const session::PresetCase& preset : session::preset_cases) {
    if (preset.preset == std::string("wrong-frame")) continue;
    EXPECT_TRUE(session::check_preset(*session, preset, "told", "ept")) << preset.preset;
  }
  run("journal off");
}

// It is owed there only while a CPU walks the primary for a process.
TEST_F(VmInjectTest, AFlushOfThePrimaryIsMissedWhileAProcessHasItMapped)
{
  const auto told_by = [](const std::string& line) {
    run("inject clear");
    run("inject add flush drop --object o --view primary");
    const session::Json facts = run(line);
    return facts.contains("violations") ? facts["violations"] : session::Json::array();
  };
  run("journal on");
  EXPECT_TRUE(told_by("object unmap o 0x1000").empty());
  EXPECT_EQ(fired(), 0u);
  // What it says comes through a pipe, so that it is waited for.
  target().run_program({"mkfifo", "/tmp/said"});
  const u32 pid = target().start_program({"sh", "-c", "exec morsel-touch --stay /morsel/o write:0=1 > /tmp/said"});
  EXPECT_EQ(target().run_program({"grep", "-q", "stay", "/tmp/said"}).exit_status, 0);
  const session::Json told = told_by("object unmap o 0x2000..0x4000");
  EXPECT_EQ(fired(), 1u);
  ASSERT_EQ(told.size(), 1u) << told;
  EXPECT_EQ(told[0]["invariant"], "I2");
  EXPECT_EQ(told[0]["state"], "unflushed");
  EXPECT_EQ(told[0]["range"]["start"], 0x2000u);
  EXPECT_EQ(told[0]["range"]["end"], 0x4000u);
  run("inject clear");
  for (const char* line : {"object protect o 0x5000..0x7000 r", "object migrate o 0x5000", "object unmap o 0x6000"})
    EXPECT_FALSE(run(line).contains("violations")) << line;
  target().end_program(pid);
  target().run_program({"rm", "/tmp/said"});
  run("journal off");
}

TEST_F(VmInjectTest, ADelayedInvalidationHappensAtItsPoint)
{
  target().inject({.point = SyncPoint::invalidate, .action = MORSEL_FAULT_DELAY, .until = SyncPoint::flush});
  EXPECT_EQ(target().injected().at(0).until, SyncPoint::flush);
  const auto found = records({SyncPoint::invalidate, SyncPoint::flush}, [] { run("object unmap o 0x1000"); });
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].fault_action, MORSEL_FAULT_DELAY);
  EXPECT_EQ(found[0].before, found[0].after);
  EXPECT_EQ(found[1].point, MORSEL_POINT_flush);
  EXPECT_EQ(found[2].point, MORSEL_POINT_invalidate);
  EXPECT_NE(found[2].before, 0u);
  EXPECT_EQ(found[2].after, 0u);
  EXPECT_EQ(session->execute_line("verify").status, 0);
}

// Its point does not come: then before the actor leaves its section.
TEST_F(VmInjectTest, ADelayedAccessHappensBeforeItsActorLeaves)
{
  target().inject({.point = SyncPoint::publish, .action = MORSEL_FAULT_DELAY, .until = SyncPoint::install});
  const auto found = records({SyncPoint::publish, SyncPoint::leave}, [] { run("access o ept 0x9000 read"); });
  ASSERT_GE(found.size(), 3u);
  EXPECT_EQ(found[0].fault_action, MORSEL_FAULT_DELAY);
  EXPECT_EQ(found[1].point, MORSEL_POINT_publish);
  EXPECT_NE(found[1].before, found[1].after);
  EXPECT_EQ(found[2].point, MORSEL_POINT_leave);
  EXPECT_EQ(session->execute_line("verify").status, 0);
}

TEST_F(VmInjectTest, ADuplicateHappensTwice)
{
  target().inject({.point = SyncPoint::flush, .action = MORSEL_FAULT_DUPLICATE, .tree = TreeId{1}});
  const u64 before = target().counters().flushes_total;
  const auto found = records({SyncPoint::flush}, [] { run("object unmap o 0x1000"); });
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].fault_action, MORSEL_FAULT_DUPLICATE);
  EXPECT_EQ(found[1].fault_action, MORSEL_FAULT_DUPLICATE);
  EXPECT_EQ(target().counters().flushes_total, before + 2);
}

// The same rules, the same accesses, the same numbers drawn.
TEST_F(VmInjectTest, RulesAreThinnedOutAsInTheEmbeddedMachine)
{
  const auto embedded = sim::make_embedded_target(64 * mebibyte);
  embedded->create_object("o", 4 * mebibyte, {});
  const auto fired_in = [](session::Target& machine, InjectRule rule) {
    rule.point = SyncPoint::change;
    rule.action = MORSEL_FAULT_FAIL;
    rule.times = 1000;
    machine.clear_injected();
    machine.inject(rule);
    machine.populate("o", {1 * mebibyte, 2 * mebibyte}, rights_rw, 0);
    machine.unmap("o", {1 * mebibyte, 2 * mebibyte});
    return machine.injected().front().fired;
  };
  const InjectRule rules[] = {{.range = Range{3 * mebibyte, 4 * mebibyte}},
                              {.range = Range{1 * mebibyte, 1 * mebibyte + 16 * page_bytes}},
                              {.actor = 9999},
                              {.interval = 10},
                              {.probability = 30, .seed = 5},
                              {.probability = 30, .seed = 6},
                              {.nth = 20, .interval = 3, .probability = 70, .seed = 1}};
  std::vector<u64> here, there;
  for (const InjectRule& rule : rules) {
    here.push_back(fired_in(target(), rule));
    there.push_back(fired_in(*embedded, rule));
  }
  EXPECT_EQ(here, there);
  EXPECT_EQ(here[0] + here[2], 0u);
  EXPECT_NE(here[4], here[5]);
}

TEST_F(VmInjectTest, TellsWhenARuleFires)
{
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<session::Event> heard;
  target().listen([&](const session::Event& event) {
    if (event.kind != session::Event::Kind::fault_fired) return;
    const std::lock_guard lock(mutex);
    heard.push_back(event);
    changed.notify_all();
  });
  target().inject({.point = SyncPoint::flush, .tree = TreeId{1}, .times = 2});
  run("object unmap o 0x1000");
  run("object unmap o 0x2000");
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return heard.size() == 2; }));
  }
  target().listen({});
  EXPECT_EQ(heard[0].rule, 1u);
  EXPECT_EQ(heard[0].object, "o");
  EXPECT_EQ(heard[0].text, "rule 1 fired at flush");
  EXPECT_NE(heard[0].actor, 0u);
}

TEST_F(VmInjectTest, RefusesWhatWouldHarmTheKernel)
{
  try {
    target().inject({.point = SyncPoint::change, .action = MORSEL_FAULT_DELAY, .until = SyncPoint::leave});
    ADD_FAILURE() << "it was accepted";
  } catch (const Failure& failure) {
    EXPECT_NE(std::string(failure.what()).find("would harm the kernel"), std::string::npos) << failure.what();
  }
  EXPECT_THROW(target().inject({.point = SyncPoint::retire}), Failure);
  EXPECT_THROW(target().inject({.point = SyncPoint::reserve, .action = MORSEL_FAULT_CORRUPT, .bits = 1}), Failure);
  EXPECT_TRUE(target().injected().empty());

  // A frame that is not the object's: the rule waits for another access, and the fill is right.
  target().inject({.point = SyncPoint::publish, .action = MORSEL_FAULT_CORRUPT, .bits = u64{1} << 45});
  EXPECT_EQ(broken_by("access o ept 0x9000 read"), "");
  EXPECT_EQ(fired(), 0u);
}

}  // namespace
}  // namespace morsel::testvm
