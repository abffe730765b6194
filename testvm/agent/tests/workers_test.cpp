// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/agent/workers.hpp"

#include <gtest/gtest.h>

#include <future>
#include <string>

namespace morsel::agent {
namespace {

using Limit = Workers::Limit;

constexpr Limit hour{3'600'000};

// A job that is at work until it is told to end; and what those hear who wait for it.
class WaitForWorkers : public testing::Test {
 protected:
  WaitForWorkers()
  {
    workers_.start({.what = "work", .object = ""}, [this] { go_.get_future().wait(); }, [this] { over_ = true; });
  }
  void end_work()
  {
    go_.set_value();
    while (!over_) poller_.wait();
  }
  Workers::Then hear(const std::string& who)
  {
    return [this, who](bool idle) { heard_ += who + (idle ? " idle " : " late "); };
  }

  Poller poller_;
  std::promise<void> go_;
  bool over_ = false;
  std::string heard_;
  Workers workers_{poller_};
};

TEST_F(WaitForWorkers, EndsWhenTheyAreIdle)
{
  workers_.when_idle(hour, hear("a"));
  workers_.when_idle(hour, hear("b"));
  EXPECT_EQ(heard_, "");
  end_work();
  EXPECT_EQ(heard_, "a idle b idle ");
  workers_.when_idle(Limit(0), hear("c"));
  EXPECT_EQ(heard_, "a idle b idle c idle ");
}

TEST_F(WaitForWorkers, EndsWithItsLimit)
{
  workers_.when_idle(hour, hear("a"));
  workers_.when_idle(Limit(1), hear("b"));
  while (heard_.empty()) poller_.wait();
  EXPECT_EQ(heard_, "b late ");
  end_work();
  EXPECT_EQ(heard_, "b late a idle ");
}

TEST_F(WaitForWorkers, IsForgotten)
{
  workers_.when_idle(Limit(1), hear("a"));
  workers_.when_idle(hour, hear("b"));
  workers_.forget_waits();
  workers_.when_idle(Limit(20), hear("c"));
  while (heard_.empty()) poller_.wait();
  end_work();
  EXPECT_EQ(heard_, "c late ");
}

}  // namespace
}  // namespace morsel::agent
