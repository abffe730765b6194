// SPDX-License-Identifier: GPL-2.0-or-later
//
// What `verify` tells of each preset, on any target: the commands that lead there, and the violation.
#pragma once
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "engine/session/session.hpp"

namespace morsel::session {

// Lines for an object O of 4 MiB of which 64 KiB are populated, with one view V.
struct PresetCase {
  const char* preset;
  const char* view;      // behind the preset's object: " V" or nothing
  const char* before;    // a line that makes ready
  const char* strikes;   // the line that the fault hits; it may fail
  const char* invariant;
  const char* state;     // of the violation; null: whatever the tables show
  u64 offset;            // lies in its range
  const char* since;     // the point of the record since which it is broken
  const char* fault;     // the point that was hit
};

inline constexpr std::array<PresetCase, 9> preset_cases{{
    {"lost-invalidation", " V", "access O V 0x1000 read", "object unmap O 0x1000", "I2", "stale", 0x1000, "change",
     "invalidate"},
    {"dropped-flush", " V", "access O V 0x1000 read", "object unmap O 0x1000", "I2", "unflushed", 0x1000, "invalidate",
     "flush"},
    {"wrong-range", " V", "access O V 0x1000 read", "object unmap O 0x1000", "I2", "unflushed", 0x1000, "invalidate",
     "flush"},
    {"reserved-bit", " V", "access O V 0x1000 read", "access O V 0x2000 read", "I1", nullptr, 0x2000, "publish",
     "publish"},
    {"ept-misconfiguration", " V", "access O V 0x1000 read", "access O V 0x2000 read", "I1", nullptr, 0x2000, "publish",
     "publish"},
    {"rights-widened", " V", "object protect O 0x3000 r", "access O V 0x3000 read", "I1", "rights", 0x3000, "publish",
     "publish"},
    {"wrong-frame", " V", "access O V 0x1000 read", "access O V 0x2000 read", "I1", "frame", 0x2000, "publish",
     "publish"},
    {"torn-copy", "", "access O primary 0x4000 write --value 7", "object migrate O 0x4000", "I9", "torn", 0x4000,
     "copy", "copy"},
    {"lost-dirty-bit", "", "access O V 0x5000 write --value 7", "object protect O 0x5000 r", "I4", "lost dirty bit",
     0x5000, "invalidate", "carry"},
}};

// Whether the preset is one of this format's leaves; if so, everything that `verify` says of it is checked.
inline bool check_preset(Session& session, const PresetCase& preset, const std::string& object,
                         const std::string& format)
{
  SCOPED_TRACE(std::string(preset.preset) + " with " + format);
  const auto run = [&](std::string line) {
    for (std::size_t at; (at = line.find(" O")) != std::string::npos;) line.replace(at, 2, " " + object);
    for (std::size_t at; (at = line.find(" V")) != std::string::npos;) line.replace(at, 2, " 1");
    return session.execute_line(line);
  };
  for (const std::string line : {"object create O 4M", "object populate O 0..64K"}) run(line);
  run("view add O " + format);
  run(preset.before);
  EXPECT_EQ(run("verify O").status, 0);
  try {
    run(std::string("inject preset ") + preset.preset + " O" + preset.view);
  } catch (const Failure& failure) {
    EXPECT_NE(failure.found().find("has no bit"), std::string::npos) << failure.what();
    return false;
  }
  try {
    run(preset.strikes);
  } catch (const Failure&) {
    // It met the entry: what it says besides is asked for here.
  }
  EXPECT_EQ(run("inject list").facts["rules"][0]["fired"], 1);
  const Reply reply = run("verify O");
  EXPECT_EQ(reply.status, 1) << reply.text;
  const Json& list = reply.facts["violations"];
  if (list.empty()) return true;
  const Json& v = list[0];
  EXPECT_EQ(v["invariant"], preset.invariant) << reply.text;
  EXPECT_TRUE(!preset.state || v["state"] == preset.state) << reply.text;
  EXPECT_LE(v["range"]["start"].get<u64>(), preset.offset) << reply.text;
  EXPECT_GT(v["range"]["end"].get<u64>(), preset.offset) << reply.text;
  EXPECT_EQ(v["since"]["point"], preset.since) << reply.text;
  EXPECT_EQ(v["fault"]["point"], preset.fault) << reply.text;
  EXPECT_EQ(v["fault"]["rule"], 1) << reply.text;
  run("inject clear");
  run("object destroy O");
  EXPECT_EQ(run("verify").status, 0) << "the object is gone";
  return true;
}

}  // namespace morsel::session
