// SPDX-License-Identifier: GPL-2.0-or-later
//
// A real kernel, one access at a time: what stands in the tables between two steps is seen in the guest's memory.
#include <gtest/gtest.h>
#include <signal.h>

#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <sstream>
#include <utility>

#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::testvm {
namespace {

using session::ActorState;
using session::ActorWaits;
using session::Failure;

constexpr u64 present_bits = 7;
constexpr Milliseconds limit{5'000};

// The word that maps the page at `offset`: formats here have their tables' addresses in the same bits. 0: no table.
u64 leaf_word(const inspect::PhysicalMemory& memory, const inspect::TreeSource& tree, u64 offset)
{
  constexpr u64 address_bits = 0x000f'ffff'ffff'f000;
  u64 table = tree.root.value;
  for (int level = tree.root_level;; --level) {
    const u64* const word = memory.words({table + (offset >> (12 + 9 * level) & 511) * sizeof(u64)}, 1);
    if (!word || level == 0 || !(*word & present_bits)) return word ? *word : 0;
    table = *word & address_bits;
  }
}

// A target and the requests that wait in it.
class Stepped {
 public:
  explicit Stepped(VmTarget& target) : target_(target)
  {
    target_.listen([this](const session::Event&) {
      const std::lock_guard lock(mutex_);
      ++events_;
      changed_.notify_all();
    });
  }
  ~Stepped()
  {
    target_.listen({});
    try {
      target_.stepping()->run();
    } catch (const Failure&) {
      // lost, as a test wanted it
    }
  }
  Stepped(const Stepped&) = delete;
  Stepped& operator=(const Stepped&) = delete;

  // The first actor that waits and for which `which` holds; looked for at each event.
  ActorState wait_for(const std::function<bool(const ActorState&)>& which)
  {
    const auto end = std::chrono::steady_clock::now() + limit;
    for (;;) {
      u64 seen = 0;
      {
        const std::lock_guard lock(mutex_);
        seen = events_;
      }
      for (const auto& actor : target_.stepping()->actors())
        if (actor.waits != ActorWaits::nowhere && which(actor)) return actor;
      std::unique_lock lock(mutex_);
      if (!changed_.wait_until(lock, end, [&] { return events_ != seen; })) break;
    }
    ADD_FAILURE() << "nobody came: " << target_.connection().request("gate-actors").dump();
    return {};
  }
  ActorState wait_for_request(const std::string& word)
  {
    return wait_for([&](const ActorState& actor) { return actor.who.starts_with(word); });
  }
  // Until it is about to do `point`; where it is then.
  ActorState step_to(u32 actor, SyncPoint point)
  {
    ActorState state = target_.stepping()->step(actor, limit);
    for (int steps = 0; steps < 1000; ++steps) {
      if (state.waits != ActorWaits::at_point || state.next.point == point) return state;
      state = target_.stepping()->step(actor, limit);
    }
    return state;
  }
  ActorState step_to_end(u32 actor)
  {
    ActorState state{};
    for (int steps = 0; steps < 1000 && state.waits != ActorWaits::finished; ++steps)
      state = target_.stepping()->step(actor, limit);
    return state;
  }

 private:
  VmTarget& target_;
  std::mutex mutex_;
  std::condition_variable changed_;
  u64 events_ = 0;
};

class VmSteppingTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { target = VmTarget::start(test_config()); }
  static void TearDownTestSuite() { target.reset(); }
  void SetUp() override
  {
    target->create_object("o", 4 * mebibyte, {});
    view = target->add_view("o", FormatId::ept);
    target->populate("o", {0, 16 * page_bytes}, rights_rw, 0);
  }
  void TearDown() override
  {
    target->stepping()->run();
    for (const auto& object : target->objects()) target->destroy_object(object.name);
    const session::Counters left = target->counters();
    EXPECT_EQ(left.objects + left.views + left.tables + left.frames + left.bad_entries, 0u);
  }
  auto access_later(u64 offset, TreeId in = 0)
  {
    return std::async(std::launch::async, [offset, tree = in ? in : view.number] {
      return target->access({.object = "o", .view = tree, .offset = offset}).outcome;
    });
  }
  u64 view_word(u64 offset) const { return leaf_word(target->memory(), view.source(), offset); }
  u64 primary_word(u64 offset) const { return leaf_word(target->memory(), target->object("o").source(), offset); }

  static std::unique_ptr<VmTarget> target;
  session::ViewState view;
};
std::unique_ptr<VmTarget> VmSteppingTest::target;

TEST_F(VmSteppingTest, StopsWhenNobodyIsThere)
{
  EXPECT_FALSE(target->stepping()->stopped());
  target->stepping()->stop(limit);
  EXPECT_TRUE(target->stepping()->stopped());
  EXPECT_TRUE(target->stepping()->actors().empty());
  EXPECT_THROW(target->stepping()->step(1, limit), Failure);
  target->stepping()->run();
  EXPECT_FALSE(target->stepping()->stopped());
}

TEST_F(VmSteppingTest, ShowsAFillsReservationAndAnUnmapsStaleEntry)
{
  Stepped stepped(*target);
  target->stepping()->stop(limit);
  auto fill = access_later(0x3000);
  const ActorState first = stepped.wait_for_request("access");
  EXPECT_EQ(first.next.point, SyncPoint::enter);
  EXPECT_EQ(first.object, "o");
  EXPECT_EQ(first.kind, MORSEL_ACTOR_CALLER);
  const ActorState reserves = stepped.step_to(first.id, SyncPoint::reserve);
  ASSERT_EQ(reserves.waits, ActorWaits::at_point);
  EXPECT_EQ(view_word(0x3000), 0u);
  EXPECT_EQ(reserves.next.word, 0u);
  EXPECT_EQ(reserves.next.offset, 0x3000u);
  target->stepping()->step(first.id, limit);
  EXPECT_EQ(view_word(0x3000), reserves.next.desired);
  EXPECT_NE(view_word(0x3000), 0u);
  EXPECT_EQ(view_word(0x3000) & present_bits, 0u);  // nobody can walk it yet
  const ActorState publishes = stepped.step_to(first.id, SyncPoint::publish);
  EXPECT_EQ(publishes.next.word, view_word(0x3000));
  target->stepping()->step(first.id, limit);
  EXPECT_EQ(view_word(0x3000), publishes.next.desired);
  EXPECT_NE(view_word(0x3000) & present_bits, 0u);
  EXPECT_EQ(stepped.step_to_end(first.id).waits, ActorWaits::finished);
  EXPECT_EQ(fill.get(), session::AccessOutcome::filled);

  auto unmap = std::async(std::launch::async, [] { return target->unmap("o", {0x3000, 0x4000}); });
  const ActorState begins = stepped.wait_for_request("unmap");
  EXPECT_EQ(begins.who, "unmap 0x3000..0x4000 of o");
  const ActorState invalidates = stepped.step_to(begins.id, SyncPoint::invalidate);
  ASSERT_EQ(invalidates.waits, ActorWaits::at_point);
  EXPECT_EQ(primary_word(0x3000), 0u);
  EXPECT_NE(view_word(0x3000) & present_bits, 0u);  // stale
  target->stepping()->step(begins.id, limit);
  EXPECT_EQ(view_word(0x3000), 0u);
  EXPECT_EQ(stepped.step_to_end(begins.id).waits, ActorWaits::finished);
  EXPECT_EQ(unmap.get(), 1u);
}

TEST_F(VmSteppingTest, LetsAllGoUntilOneMeetsTheCondition)
{
  Stepped stepped(*target);
  target->stepping()->stop(limit);
  auto one = access_later(0x1000), two = access_later(0x2000);
  stepped.wait_for([](auto& actor) { return actor.who.starts_with("access 0x1000"); });
  stepped.wait_for([](auto& actor) { return actor.who.starts_with("access 0x2000"); });
  const auto met = target->stepping()
                       ->until({.point = SyncPoint::publish,
                                .actor = {},
                                .object = "o",
                                .tree = view.number,
                                .range = Range{0x2000, 0x3000},
                                .nth = 1},
                               limit)
                       .met;
  ASSERT_TRUE(met);
  EXPECT_EQ(met->next.offset, 0x2000u);
  EXPECT_EQ(met->next.point, SyncPoint::publish);
  EXPECT_TRUE(target->stepping()->stopped());
  EXPECT_EQ(view_word(0x2000) & present_bits, 0u);
  const auto none = target->stepping()->until({SyncPoint::harvest, {}, {}, {}, {}, 1}, limit);
  EXPECT_FALSE(none.met);
  EXPECT_TRUE(none.finished);
  EXPECT_EQ(one.get(), session::AccessOutcome::filled);
  EXPECT_EQ(two.get(), session::AccessOutcome::filled);
}

// A line of /proc/PID/maps in the guest (proc(5)).
struct Mapped {
  u64 start = 0;
  std::string rights, file;
};

// What the process has mapped at the address; nothing: no file there.
Mapped mapped_at(VmTarget& target, u32 pid, u64 address)
{
  std::istringstream maps(target.run_program({"cat", "/proc/" + std::to_string(pid) + "/maps"}).output);
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    Mapped mapped;
    u64 end = 0;
    std::string offset, device, inode;
    words >> std::hex >> mapped.start;
    words.ignore();
    words >> end >> mapped.rights >> offset >> device >> inode >> mapped.file;
    if (mapped.start <= address && address < end) return mapped;
  }
  return {};
}

TEST_F(VmSteppingTest, ShowsTheInstructionOfAProcessThatFaultsAndCanKillIt)
{
  Stepped stepped(*target);
  target->stepping()->stop(limit);
  const u32 pid = target->start_program({"morsel-touch", "/morsel/o", "write:0x100000=1"});
  const auto is_it = [](const ActorState& actor) { return actor.fault_address != 0; };
  const ActorState faults = stepped.wait_for(is_it);
  EXPECT_EQ(faults.kind, MORSEL_ACTOR_PROCESS_PRIMARY);
  EXPECT_EQ(faults.object, "o");
  EXPECT_EQ(faults.pid, pid);
  ASSERT_TRUE(faults.cpu);
  EXPECT_LT(*faults.cpu, target->vm().cpus);
  const Mapped code = mapped_at(*target, pid, faults.instruction_pointer);
  const Mapped data = mapped_at(*target, pid, faults.fault_address);
  EXPECT_EQ(code.rights, "r-xp");
  EXPECT_EQ(code.file, "/bin/morsel-touch");
  EXPECT_EQ(data.file, "/morsel/o");
  EXPECT_EQ(faults.fault_address, data.start + 0x100000);
  EXPECT_EQ(faults.who, "morsel-touch (pid " + std::to_string(pid) + ")");
  EXPECT_EQ(target->end_program(pid).signal, SIGKILL);
  for (const auto& actor : target->stepping()->actors()) EXPECT_FALSE(is_it(actor)) << actor.who;
  EXPECT_EQ(primary_word(0x100000), 0u);
}

// Between its two faults nobody waits at the gate and nothing works: the program is all that there is.
TEST_F(VmSteppingTest, UntilWaitsForAProgramBetweenTwoFaults)
{
  Stepped stepped(*target);
  target->stepping()->stop(limit);
  const u32 pid = target->start_program(
      {"sh", "-c", "morsel-touch /morsel/o write:0x100000=1; morsel-touch /morsel/o write:0x180000=2"});
  const ActorState first = stepped.wait_for([](const ActorState& actor) { return actor.fault_address != 0; });
  const session::StopCondition second{
      .point = SyncPoint::change, .object = "o", .tree = primary_tree, .range = Range{0x180000, 0x181000}};
  const auto met = target->stepping()->until(second, Milliseconds(60'000));
  ASSERT_TRUE(met.met);
  EXPECT_NE(met.met->id, first.id);
  EXPECT_NE(primary_word(0x100000), 0u);
  EXPECT_EQ(primary_word(0x180000), 0u);
  const auto over = target->stepping()->until({.point = SyncPoint::harvest}, Milliseconds(60'000));
  EXPECT_TRUE(over.finished);
  EXPECT_NE(primary_word(0x180000), 0u);
  try {
    target->end_program(pid);
    ADD_FAILURE() << "it had not ended";
  } catch (const Failure&) {  // it cannot be killed any more
  }
}

TEST_F(VmSteppingTest, UntilNamesTheProgramThatItWaitedFor)
{
  target->stepping()->stop(limit);
  const u32 pid = target->start_program({"tail", "-f", "/dev/null"});
  const std::string name = "tail (pid " + std::to_string(pid) + ")";
  try {
    target->stepping()->until({.point = SyncPoint::publish}, Milliseconds(500));
    ADD_FAILURE() << "it has ended before its program";
  } catch (const Failure& failure) {
    EXPECT_NE(std::string(failure.what()).find(name + " still runs"), std::string::npos) << failure.what();
  }
  EXPECT_TRUE(target->stepping()->stopped());
  target->end_program(pid);
}

// As a session's clients see them: one for the gate, one for each actor that comes to a point.
TEST_F(VmSteppingTest, TellsOnceThatTheGateWasClosed)
{
  std::mutex mutex;
  std::vector<u32> stops;
  target->listen([&](const session::Event& event) {
    const std::lock_guard lock(mutex);
    if (event.kind == session::Event::Kind::stopped) stops.push_back(event.actor);
  });
  target->stepping()->stop(limit);
  target->stepping()->stop(limit);
  target->counters();  // its reply comes after all events before it
  {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(stops, std::vector<u32>{0});
  }
  EXPECT_TRUE(target->stepping()->until({.point = SyncPoint::publish}, limit).finished);
  target->counters();
  target->listen({});
  EXPECT_EQ(stops, (std::vector<u32>{0, 0}));  // it was open meanwhile
}

TEST_F(VmSteppingTest, SaysForWhomAGracePeriodWaits)
{
  const auto other = target->add_view("o", FormatId::npt);
  const Range large{2 * mebibyte, 4 * mebibyte};
  target->populate("o", large, rights_rw, 1);
  target->split("o", large, 0);
  struct Waiting {
    const char* request;
    std::function<void()> work;
  };
  const Waiting cases[] = {{"harvest", [&] { target->harvest("o", {0, page_bytes}); }},
                           {"merge", [&] { target->merge("o", large, 1); }},
                           {"view-drop", [&] { target->drop_view("o", other.number); }}};
  u64 page = 0x3000;
  for (const auto& [request, work] : cases) {
    SCOPED_TRACE(request);
    Stepped stepped(*target);
    target->stepping()->stop(limit);
    auto fill = access_later(std::exchange(page, page + page_bytes));
    const u32 filler = stepped.wait_for_request("access").id;
    stepped.step_to(filler, SyncPoint::publish);
    auto done = std::async(std::launch::async, work);
    ActorState waits = stepped.wait_for_request(request);
    for (int steps = 0; steps < 5000 && waits.waits == ActorWaits::at_point; ++steps)
      waits = target->stepping()->step(waits.id, limit);
    EXPECT_EQ(waits.waits, ActorWaits::for_grace);
    EXPECT_EQ(waits.waits_for, std::vector<u32>{filler});
    EXPECT_THROW(target->stepping()->step(waits.id, limit), Failure);
    stepped.step_to_end(filler);
    fill.get();
    target->stepping()->run();
    done.get();
  }
}

TEST_F(VmSteppingTest, RefusesToDropAViewThatAStoppedFillUses)
{
  Stepped stepped(*target);
  target->stepping()->stop(limit);
  auto fill = access_later(0x3000);
  const u32 filler = stepped.wait_for_request("access").id;
  stepped.step_to(filler, SyncPoint::publish);
  auto drop = std::async(std::launch::async, [&] { target->drop_view("o", view.number); });
  EXPECT_THROW(drop.get(), Failure);  // it is in use
  EXPECT_THROW(target->stepping()->until({SyncPoint::enter, {}, {}, {}, {}, 0}, limit), Failure);
  target->stepping()->run();
  fill.get();
}

// The client that stepped is killed: whoever waited at the gate goes on.
TEST_F(VmSteppingTest, OpensTheGateWhenItsClientGoes)
{
  auto client = VmTarget::attach(target->vm().name);
  client->stepping()->stop(limit);
  Stepped stepped(*target);
  auto fill = access_later(0x3000);
  stepped.wait_for_request("access");
  client.reset();
  EXPECT_EQ(fill.get(), session::AccessOutcome::filled);
  EXPECT_FALSE(target->stepping()->stopped());
}

TEST_F(VmSteppingTest, TheGateIsOneClientsAlone)
{
  auto other = VmTarget::attach(target->vm().name);
  target->stepping()->stop(limit);
  EXPECT_THROW(other->stepping()->stop(limit), Failure);
  EXPECT_THROW(other->stepping()->run(), Failure);
  EXPECT_THROW(other->stepping()->until({.point = SyncPoint::publish}, limit), Failure);
  EXPECT_TRUE(other->stepping()->stopped());  // looking is for all
  other.reset();
  EXPECT_TRUE(target->stepping()->stopped());
  target->stepping()->run();
  other = VmTarget::attach(target->vm().name);
  other->stepping()->stop(limit);
  EXPECT_THROW(target->stepping()->run(), Failure);
  other->stepping()->run();
}

// As many as a client may leave open: what lets them go on is never refused.
TEST_F(VmSteppingTest, CanStepHoweverManyWait)
{
  constexpr std::size_t most = 64;
  Stepped stepped(*target);
  target->stepping()->stop(limit);
  std::vector<std::future<u64>> requests;
  for (std::size_t n = 0; n < most; ++n)
    requests.push_back(
        std::async(std::launch::async, [] { return target->populate("o", {0, page_bytes}, rights_rw, 0); }));
  stepped.wait_for([&](const ActorState&) { return target->stepping()->actors().size() == most; });
  EXPECT_THROW(target->counters(), Failure);
  target->stepping()->run();
  for (auto& request : requests) EXPECT_NO_THROW(request.get());
}

TEST_F(VmSteppingTest, RecordsWhatWasStepped)
{
  Stepped stepped(*target);
  target->journal()->record(true);
  target->stepping()->stop(limit);
  auto fill = access_later(0x3000);
  const u32 filler = stepped.wait_for_request("access").id;
  stepped.step_to_end(filler);
  fill.get();
  target->journal()->record(false);
  const auto read = target->journal()->read();
  ASSERT_GT(read.records.size(), 5u);
  for (const auto& record : read.records) {
    EXPECT_EQ(record.actor_id, filler);
    EXPECT_EQ(record.flags & MORSEL_RECORD_UNGATED, 0u);
  }
}

TEST(VmSteppingEnd, CrashesTheMachineAtAPoint)
{
  const auto target = VmTarget::start(test_config());
  target->create_object("o", 4 * mebibyte, {});
  target->inject({.point = SyncPoint::change, .action = MORSEL_FAULT_CRASH, .tree = {}});
  EXPECT_EQ(target->injected().at(0).action, MORSEL_FAULT_CRASH);
  try {
    target->populate("o", {0, page_bytes}, rights_rw, 0);
    ADD_FAILURE() << "it was done";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), session::Exit::target_lost) << failure.what();
  }
}

// The machine ends while somebody waits: the request ends, and says why.
void expect_that_who_waits_is_told(void (*end)(VmTarget&))
{
  const auto target = VmTarget::start(test_config());
  target->create_object("o", 4 * mebibyte, {});
  Stepped stepped(*target);
  target->stepping()->stop(limit);
  auto populate = std::async(std::launch::async, [&] { target->populate("o", {0, page_bytes}, rights_rw, 0); });
  stepped.wait_for_request("populate");
  end(*target);
  try {
    populate.get();
    ADD_FAILURE() << "it was done by a dead guest";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), session::Exit::target_lost) << failure.what();
  }
  EXPECT_THROW(target->stepping()->actors(), Failure);
}

TEST(VmSteppingEnd, ReportsAPanicWhileGated)
{
  expect_that_who_waits_is_told([](VmTarget& target) {
    EXPECT_THROW(target.run_program({"sh", "-c", "echo c > /proc/sysrq-trigger"}), Failure);
  });
}

TEST(VmSteppingEnd, ReportsAKilledEmulatorWhileGated)
{
  expect_that_who_waits_is_told([](VmTarget& target) { EXPECT_EQ(kill(target.vm().process, SIGKILL), 0); });
}

}  // namespace
}  // namespace morsel::testvm
