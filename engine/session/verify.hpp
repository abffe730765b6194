// SPDX-License-Identifier: GPL-2.0-or-later
//
// Whether the views still tell what the primary says, and if not: which invariant is broken (docs/concurrency.md names
// them), where, since which record, and which injected fault comes before it.
//
// Two things are looked at: what stands in the tables; and, in a journal, what every operation owed and did not do
// (promises.hpp), because translations that walkers have cached, lost dirty bits and torn copies leave no trace in
// tables. That is told as long as the object and the view are there.
//
// Thread safety: pure functions of what they are given.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engine/session/aligned.hpp"
#include "engine/session/recorder.hpp"
#include "engine/session/reply.hpp"
#include "engine/session/style.hpp"

namespace morsel::session {

// One run of pages of one tree that is not as it must be.
struct Violation {
  std::string invariant;  // "I1", "I2", "I3", "I4", "I9", "I10"
  std::string object;
  u32 object_id = 0;
  TreeId tree = primary_tree;  // a view; the primary: one of its own tables is wrong
  FormatId format = FormatId::amd64;
  Range range;
  std::string state;  // "stale", "frame", "rights", "format", the anomaly's name; "unflushed", "lost dirty bit",
                      // "torn", "made before broken"
  std::string why;    // in words, after the tree's name

  // From the journal: numbers of records, counted from the oldest that is kept.
  std::optional<std::size_t> primary_since, tree_since;  // the access that made the entry what it is
  std::optional<std::size_t> fault;                      // the last injected fault that hit this place

  u64 broken = 0;  // of a promise: the sequence of the record that broke it, which tells it from the next one there

  // The same trouble at the same place.
  bool same_as(const Violation& other) const;
};

// What is known of what has happened: the first `records` of the chronicle.
struct Evidence {
  const Chronicle* chronicle = nullptr;  // null: nothing was recorded
  std::size_t records = 0;
};

struct Verdict {
  std::vector<Violation> violations;
  u64 more = 0;  // that are not listed
  u64 views = 0;
};

inline constexpr std::size_t max_violations = 50;

Verdict verify(const inspect::PhysicalMemory& memory, const std::vector<ObjectState>& objects,
               const Evidence& evidence);

// `rules`: to name the one that has fired.
Json violation_facts(const Violation& violation, const Evidence& evidence, const std::vector<InjectRule>& rules);
// A line: "I2: view 1 (ept) of demo still maps …; since record 805 (change, actor 3)".
std::string violation_text(const Json& facts, const Style& style);

}  // namespace morsel::session
