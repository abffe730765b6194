// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every scenario of the explorer's small suite, once, by a machine's own tasks.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "engine/session/session.hpp"
#include "engine/sim/suite.hpp"

namespace morsel::session {

struct LiveSuite {
  u64 scenarios = 0, followed = 0;
  std::map<std::string, u64> refused;            // by the word that no machine but the explorer's has
  std::map<std::string, std::string> different;  // by name: what was found
};

// Of a few schedules the first that the machine can go: in the explorer an actor may begin before what it works on is
// there. One scenario out of `stride`.
inline LiveSuite replay_small_suite(Session& session, std::size_t stride = 1)
{
  LiveSuite result;
  const std::vector<sim::Scenario> suite = sim::scenarios(sim::Suite::small);
  for (std::size_t i = 0; i < suite.size(); i += stride) {
    const sim::Scenario& scenario = suite[i];
    ++result.scenarios;
    std::string words = sim::to_text(scenario), difference = "none was tried";
    std::replace(words.begin(), words.end(), ' ', '+');
    for (const char* schedule : {"u1", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"}) {
      if (difference.empty()) break;
      try {
        const Reply reply = session.execute_line("replay " + words + "@" + schedule + " --how live");
        difference = reply.facts["holds"] == true ? "" : reply.text;
      } catch (const Failure& failure) {
        if (failure.code() != Exit::skipped) throw;
        ++result.refused[failure.found().substr(0, failure.found().find(':'))];
        break;
      }
    }
    if (difference.empty())
      ++result.followed;
    else if (difference != "none was tried")
      result.different[scenario.name] = difference;
  }
  return result;
}

// A harvest by a machine that walks the primary changes leaves there under the eyes of a migration, which looks again.
inline void expect_most_to_go(const LiveSuite& suite, u64 least)
{
  u64 refused = 0;
  for (const auto& [word, count] : suite.refused) refused += count;
  EXPECT_EQ(suite.followed + refused + suite.different.size(), suite.scenarios);
  EXPECT_GE(suite.followed, least);
  for (const auto& [name, difference] : suite.different)
    EXPECT_TRUE(name.starts_with("harvest_against_migrate")) << name << ": " << difference;
}

}  // namespace morsel::session
