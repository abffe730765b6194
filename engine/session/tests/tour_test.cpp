// SPDX-License-Identifier: GPL-2.0-or-later
//
// The tour on the embedded machine, and on machines that misbehave: it must notice.
#include "engine/session/tour.hpp"

#include <gtest/gtest.h>

#include "engine/session/session.hpp"
#include "engine/session/tests/guest_target.hpp"

namespace morsel::session {
namespace {

std::vector<std::string> broken(const Json& facts)
{
  std::vector<std::string> names;
  for (const Json& station : facts["stations"])
    for (const Json& check : station["checks"])
      if (check["holds"] == false) names.push_back(check["what"].get<std::string>());
  return names;
}

TEST(Tour, HoldsOnTheEmbeddedMachine)
{
  const auto target = sim::make_embedded_target();
  const Outcome outcome = run_tour(*target, {});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.facts["holds"], true);
  EXPECT_EQ(broken(outcome.facts), std::vector<std::string>{});
  ASSERT_EQ(outcome.facts["stations"].size(), 6u);
  for (const Json& station : outcome.facts["stations"]) EXPECT_GE(station["checks"].size(), 3u);
}

TEST(Tour, ShowsTheTreesAtEachStationAndNamesTheStaleEntry)
{
  const auto target = sim::make_embedded_target();
  const Json stations = run_tour(*target, {}).facts["stations"];
  for (const Json& station : stations) EXPECT_FALSE(station["tree"]["rows"].empty());
  EXPECT_EQ(stations[3]["tree"]["columns"][1]["pages"]["same"], 6);
  EXPECT_EQ(stations[4]["tree"]["columns"][1]["pages"]["same"], 3);
  const Json& runs = stations[5]["diff"]["views"][0]["runs"];
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0]["state"], "stale");
  EXPECT_EQ(runs[0]["start"], 0);
  EXPECT_EQ(runs[0]["end"], page_bytes);
}

TEST(Tour, LeavesNothingBehindUnlessAsked)
{
  const auto target = sim::make_embedded_target();
  run_tour(*target, {});
  EXPECT_TRUE(target->objects().empty());
  EXPECT_TRUE(target->injected().empty());
  run_tour(*target, {tour_object, true});
  ASSERT_EQ(target->objects().size(), 1u);
  EXPECT_EQ(target->objects()[0].name, "tour");
  EXPECT_EQ(run_tour(*target, {tour_object, true}).status, 0) << "an earlier tour's object is replaced";
  EXPECT_EQ(target->objects().size(), 1u);
}

TEST(Tour, DoesNotReplaceSomebodysObjectOrRules)
{
  const auto target = sim::make_embedded_target();
  target->create_object("mine", u64{1} << 20, {});
  InjectRule rule;
  rule.tree = TreeId{9};
  target->inject(rule);
  EXPECT_THROW(run_tour(*target, {"mine", false}), Failure);
  EXPECT_EQ(target->objects()[0].bytes, u64{1} << 20);
  run_tour(*target, {});
  EXPECT_EQ(target->injected().size(), 2u);
}

TEST(Tour, LetsAProcessOfTheGuestWrite)
{
  GuestTarget guest;
  const Outcome outcome = run_tour(guest, {});
  EXPECT_EQ(broken(outcome.facts), std::vector<std::string>{});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.facts["stations"][1]["told"].get<std::string>().find("A process in the guest"), std::string::npos);
}

TEST(Tour, ThatFailsLeavesNothingBehindAndSaysWhatItsProcessEndedWith)
{
  const std::pair<ProgramResult, const char*> ends[] = {
      {{3, {}, {}, "no such file"}, "it ended with exit status 3"},
      {{{}, 7, {}, "no such file"}, "it was ended by signal 7"},
  };
  for (const auto& [end, found] : ends) {
    GuestTarget guest(end);
    try {
      run_tour(guest, {tour_object, true});
      ADD_FAILURE() << "it went on";
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), Exit::check_failed);
      EXPECT_EQ(failure.found(), found);
      EXPECT_EQ(failure.advice(), "no such file");
    }
    EXPECT_EQ(guest.objects().size(), 1u) << "it is to be kept";
    EXPECT_THROW(run_tour(guest, {}), Failure);
    EXPECT_TRUE(guest.objects().empty());
  }
}

// Takes rules and does nothing with them.
class DeafTarget : public ForwardingTarget {
 public:
  using ForwardingTarget::ForwardingTarget;
  u32 inject(const InjectRule&) override { return 1; }
};

TEST(Tour, NoticesAFaultThatWasNotInjected)
{
  DeafTarget target(sim::make_embedded_target());
  const Outcome outcome = run_tour(target, {});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(broken(outcome.facts),
            (std::vector<std::string>{"invalidations dropped", "pages stale", "the stale range", "diff clean"}));
}

// Fills more than it was asked for.
class EagerTarget : public ForwardingTarget {
 public:
  using ForwardingTarget::ForwardingTarget;
  AccessReply access(const AccessRequest& request) override
  {
    AccessReply reply = ForwardingTarget::access(request);
    if (request.view != primary_tree) {
      AccessRequest next = request;
      next.offset += 4 * page_bytes;
      ForwardingTarget::access(next);
    }
    return reply;
  }
};

TEST(Tour, NoticesAViewThatIsNotLazy)
{
  EagerTarget target(sim::make_embedded_target());
  const Outcome outcome = run_tour(target, {});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_FALSE(broken(outcome.facts).empty());
  EXPECT_EQ(broken(outcome.facts)[0], "pages that the view maps");
}

// Forgets to unmap.
class LazyTarget : public ForwardingTarget {
 public:
  using ForwardingTarget::ForwardingTarget;
  u64 unmap(const std::string&, Range range) override { return range.bytes() / page_bytes; }
};

TEST(Tour, NoticesAnUnmapThatDidNotHappen)
{
  LazyTarget target(sim::make_embedded_target());
  const Outcome outcome = run_tour(target, {});
  EXPECT_EQ(outcome.status, 1);
  ASSERT_FALSE(broken(outcome.facts).empty());
  EXPECT_EQ(broken(outcome.facts)[0], "unmapped pages left in the primary");
}

TEST(Tour, SaysWhatItLeavesBehind)
{
  Session session(sim::make_embedded_target());
  EXPECT_NE(session.execute_line("tour --keep").text.find("The object 'tour' stays"), std::string::npos);
  EXPECT_EQ(session.execute_line("tour").text.find("stays"), std::string::npos);
}

TEST(Tour, SaysOnTheTerminalWhichExpectationBroke)
{
  Session session(std::make_unique<DeafTarget>(sim::make_embedded_target()));
  const Reply reply = session.execute_line("tour");
  EXPECT_EQ(reply.status, 1);
  EXPECT_NE(reply.text.find("✗ pages stale: 0 — expected 1"), std::string::npos) << reply.text;
  EXPECT_NE(reply.text.find("The tour is broken"), std::string::npos);
}

}  // namespace
}  // namespace morsel::session
