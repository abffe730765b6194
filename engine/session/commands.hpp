// SPDX-License-Identifier: GPL-2.0-or-later
//
// Handlers (facts) and renderers (text out of the facts) of the commands, by subject. command_table.cpp ties them to
// their rows.
#pragma once
#include "engine/session/aligned.hpp"
#include "engine/session/command.hpp"
#include "engine/session/session.hpp"

namespace morsel::session {

// commands_object.cpp
Outcome object_create(Session& session, const Arguments& arguments);
Outcome object_list(Session& session, const Arguments& arguments);
Outcome object_show(Session& session, const Arguments& arguments);
Outcome object_destroy(Session& session, const Arguments& arguments);
Outcome object_populate(Session& session, const Arguments& arguments);
Outcome object_unmap(Session& session, const Arguments& arguments);
Outcome object_protect(Session& session, const Arguments& arguments);
Outcome object_clone(Session& session, const Arguments& arguments);
Outcome object_split(Session& session, const Arguments& arguments);
Outcome object_merge(Session& session, const Arguments& arguments);
Outcome object_migrate(Session& session, const Arguments& arguments);
Outcome object_harvest(Session& session, const Arguments& arguments);
Outcome object_ranges(Session& session, const Arguments& arguments);
std::string render_object(const Json& facts, const Style& style);
std::string render_objects(const Json& facts, const Style& style);
std::string render_change(const Json& facts, const Style& style);
std::string render_reshape(const Json& facts, const Style& style);
std::string render_harvest(const Json& facts, const Style& style);
std::string render_ranges(const Json& facts, const Style& style);

// commands_view.cpp
Outcome view_add(Session& session, const Arguments& arguments);
Outcome view_drop(Session& session, const Arguments& arguments);
Outcome view_list(Session& session, const Arguments& arguments);
Outcome access(Session& session, const Arguments& arguments);
std::string render_view_change(const Json& facts, const Style& style);
std::string render_views(const Json& facts, const Style& style);
std::string render_access(const Json& facts, const Style& style);

// commands_tlb.cpp
Outcome tlb(Session& session, const Arguments& arguments);
std::string render_tlb(const Json& facts, const Style& style);

// commands_tree.cpp
Outcome tree(Session& session, const Arguments& arguments);
Outcome diff(Session& session, const Arguments& arguments);
std::string render_tree(const Json& facts, const Style& style);
std::string render_diff(const Json& facts, const Style& style);

// commands_walk.cpp
Outcome walk(Session& session, const Arguments& arguments);
std::string render_walk(const Json& facts, const Style& style);

// commands_root.cpp
Outcome root_add(Session& session, const Arguments& arguments);
Outcome root_drop(Session& session, const Arguments& arguments);
Outcome root_find(Session& session, const Arguments& arguments);
std::string render_root(const Json& facts, const Style& style);
std::string render_found(const Json& facts, const Style& style);

// commands_format.cpp, commands_format_page.cpp
Outcome entry(Session& session, const Arguments& arguments);
Outcome formats(Session& session, const Arguments& arguments);
std::string render_entry(const Json& facts, const Style& style);
std::string render_formats(const Json& facts, const Style& style);

// commands_inject.cpp
Outcome inject_add(Session& session, const Arguments& arguments);
Outcome inject_list(Session& session, const Arguments& arguments);
Outcome inject_clear(Session& session, const Arguments& arguments);
Outcome inject_preset(Session& session, const Arguments& arguments);
Outcome inject_presets(Session& session, const Arguments& arguments);
std::string render_rules(const Json& facts, const Style& style);
std::string render_presets(const Json& facts, const Style& style);

// commands_stepping.cpp
Outcome actors(Session& session, const Arguments& arguments);
Outcome stop_actors(Session& session, const Arguments& arguments);
Outcome run_actors(Session& session);
Outcome step(Session& session, const Arguments& arguments);
Outcome until(Session& session, const Arguments& arguments);
std::string render_started(const Json& facts, const Style& style);
std::string render_gate(const Json& facts, const Style& style);

// commands_journal.cpp
Outcome journal_on(Session& session, const Arguments& arguments);
Outcome journal_off(Session& session, const Arguments& arguments);
Outcome journal_status(Session& session, const Arguments& arguments);
Outcome journal_save(Session& session, const Arguments& arguments);
Outcome journal_load(Session& session, const Arguments& arguments);
Outcome journal_list(Session& session, const Arguments& arguments);
std::string render_journal_status(const Json& facts, const Style& style);
std::string render_journal_file(const Json& facts, const Style& style);
std::string render_journal(const Json& facts, const Style& style);

// commands_verify.cpp
Outcome verify_views(Session& session, const Arguments& arguments);
std::string render_verify(const Json& facts, const Style& style);

// commands_history.cpp
Outcome history_back(Session& session, const Arguments& arguments);
Outcome history_forward(Session& session, const Arguments& arguments);
Outcome history_goto(Session& session, const Arguments& arguments);
Outcome history_branch(Session& session, const Arguments& arguments);
std::string render_place(const Json& facts, const Style& style);
std::string render_branch(const Json& facts, const Style& style);

// commands_replay.cpp
Outcome replay(Session& session, const Arguments& arguments);
std::string render_replay(const Json& facts, const Style& style);

// commands_machine.cpp
Outcome target_info(Session& session, const Arguments& arguments);
Outcome counters(Session& session, const Arguments& arguments);
Outcome run_program(Session& session, const Arguments& arguments);
Outcome kernel_log(Session& session, const Arguments& arguments);
std::string render_target(const Json& facts, const Style& style);
std::string render_counters(const Json& facts, const Style& style);
std::string render_run(const Json& facts, const Style& style);
std::string render_kernel_log(const Json& facts, const Style& style);

// commands_help.cpp
Json command_facts(const Command& command);  // path, usage, help, arguments with their kinds
Outcome help(Session& session, const Arguments& arguments);
std::string render_help(const Json& facts, const Style& style);

// tour.cpp
Outcome tour(Session& session, const Arguments& arguments);
std::string render_tour(const Json& facts, const Style& style);

}  // namespace morsel::session
