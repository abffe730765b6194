// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the embedded machine says when an operation cannot be done: each error of the engine with its advice.
#include <gtest/gtest.h>

#include "engine/morsel/object.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::sim {
namespace {

constexpr u64 MiB = u64{1} << 20;

class Failures : public testing::Test {
 protected:
  template <class Request>
  std::string message(Request&& request)
  {
    try {
      request(*target_);
    } catch (const session::Failure& failure) {
      return failure.what();
    }
    return "no failure";
  }
  bool says(const std::string& message, const char* part) { return message.find(part) != std::string::npos; }

  std::unique_ptr<session::Target> target_ = make_embedded_target(u64{8} * MiB);
};

TEST_F(Failures, OfRangesAndRightsSayWhatIsWanted)
{
  target_->create_object("a", 4 * MiB, Level{1});
  EXPECT_TRUE(says(message([](auto& t) { t.populate("a", {0, 100}, rights_rw, 0); }), "multiples of 4 KiB"));
  EXPECT_TRUE(says(message([](auto& t) { t.populate("a", {0, 4096}, right_write, 0); }), "rights include read"));
  EXPECT_TRUE(says(message([](auto& t) { t.unmap("a", {0, 0}); }), "range is not empty"));
}

TEST_F(Failures, OfTooManyViewsAndUnknownFormats)
{
  target_->create_object("a", 4 * MiB, {});
  EXPECT_TRUE(says(message([](auto& t) { t.add_view("a", static_cast<FormatId>(99)); }), "'formats' lists"));
  for (std::size_t i = 0; i < max_views; ++i) target_->add_view("a", FormatId::ept);
  EXPECT_TRUE(says(message([](auto& t) { t.add_view("a", FormatId::ept); }), "drop one first"));
}

TEST_F(Failures, OfAFillThatFindsNoMemory)
{
  target_->create_object("a", 4 * MiB, {});
  target_->add_view("a", FormatId::ept);
  target_->populate("a", {0, 4096}, rights_rw, 0);
  session::InjectRule rule;
  rule.point = SyncPoint::alloc;
  rule.action = MORSEL_FAULT_FAIL;
  target_->inject(rule);
  EXPECT_TRUE(says(message([](auto& t) { t.access({"a", 1, 0, right_read, 0, false}); }), "machine is full"));
}

TEST_F(Failures, OfProgramsSayThatThereIsNoGuest)
{
  EXPECT_TRUE(says(message([](auto& t) { t.start_program({"ls"}); }), "no guest"));
  EXPECT_TRUE(says(message([](auto& t) { t.end_program(1); }), "no guest"));
}

}  // namespace
}  // namespace morsel::sim
