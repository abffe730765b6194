// SPDX-License-Identifier: GPL-2.0-or-later
//
// run and kernel-log on a machine with a guest.
#include <gtest/gtest.h>

#include "engine/session/session.hpp"
#include "engine/session/tests/guest_target.hpp"

namespace morsel::session {
namespace {

Reply run_ended_by(ProgramResult end)
{
  Session session(std::make_unique<GuestTarget>(std::move(end)));
  return session.execute_line("run program --its-option");
}

TEST(RunProgram, PassesOnWhatTheProgramWroteAndEndedWith)
{
  const Reply reply = run_ended_by({3, {}, "no line feed", "an error\n"});
  EXPECT_EQ(reply.status, 3);
  EXPECT_EQ(reply.text, "no line feed");
  EXPECT_EQ(reply.errors, "an error\n");
  EXPECT_EQ(reply.facts, Json::parse(R"({"argv":["program","--its-option"],"exit_status":3,"output":"no line feed",
    "errors":"an error\n"})"));
}

TEST(RunProgram, SaysWhichSignalEndedItInALineOfItsOwn)
{
  const Reply reply = run_ended_by({{}, 11, "half a line", {}});
  EXPECT_EQ(reply.status, 128 + 11);
  EXPECT_EQ(reply.text, "half a line\nended by signal 11\n");
  EXPECT_EQ(reply.facts["signal"], 11);
  EXPECT_FALSE(reply.facts.contains("exit_status"));
  EXPECT_EQ(run_ended_by({{}, 9, "a line\n", {}}).text, "a line\nended by signal 9\n");
  EXPECT_EQ(run_ended_by({{}, 9, {}, {}}).text, "ended by signal 9\n");
}

TEST(KernelLog, EndsWithALineFeedWhateverTheGuestWrote)
{
  auto target = std::make_unique<GuestTarget>();
  GuestTarget& guest = *target;
  Session session(std::move(target));
  for (const char* log : {"[1] morsel: loaded", "[1] morsel: loaded\n"}) {
    guest.log = log;
    const Reply reply = session.execute_line("kernel-log");
    EXPECT_EQ(reply.text, "[1] morsel: loaded\n");
    EXPECT_EQ(reply.facts["text"], log);
  }
}

}  // namespace
}  // namespace morsel::session
