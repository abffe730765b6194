// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine's things as facts. One function per thing, so that every command tells it in the same shape.
#pragma once
#include "engine/inspect/decode.hpp"
#include "engine/inspect/walk.hpp"
#include "engine/session/aligned.hpp"
#include "engine/session/reply.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

Json object_facts(const ObjectState& object);
Json view_facts(const ViewState& view);
Json range_facts(Range range);                         // {"start":…,"end":…}
Json entry_facts(const inspect::DecodedEntry& entry);  // with all fields
Json step_facts(const inspect::WalkStep& step);
Json cell_facts(const AlignedTree& tree, std::size_t column, const AlignedCell& cell, bool scattered);
Json tree_facts(const AlignedTree& tree, FoldOptions options);
Json diff_facts(const AlignedTree& tree, u64 limit, bool behind_too);
Json rule_facts(const InjectRule& rule);
Json counters_facts(const Counters& counters);

std::string_view action_name(morsel_fault_action action);
Range read_range(const Json& facts);

}  // namespace morsel::session
