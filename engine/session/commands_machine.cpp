// SPDX-License-Identifier: GPL-2.0-or-later
//
// target, counters, run, kernel-log: the machine that holds the objects.
#include <fmt/format.h>

#include "engine/session/commands.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/waiting.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

Outcome target_info(Session& session, const Arguments&)
{
  const TargetInfo info = session.target().info();
  Json facts{{"kind", info.kind}, {"name", info.name}, {"machine", info.machine}, {"memory_bytes", info.memory_bytes}};
  Roots* const roots = session.target().roots();
  if (!roots) return {facts};
  Json memory = Json::array(), cpus = Json::array();
  for (const inspect::MemorySegment& s : session.target().memory().segments())
    memory.push_back(range_facts({s.start, s.start + s.bytes}));
  for (const CpuState& c : roots->cpus())
    cpus.push_back({{"rip", hex(c.rip)}, {"cr0", hex(c.cr0)}, {"cr3", hex(c.cr3)}, {"cr4", hex(c.cr4)}});
  facts["memory"] = std::move(memory);
  facts["cpus"] = std::move(cpus);
  return {facts};
}

Outcome counters(Session& session, const Arguments&) { return {counters_facts(session.target().counters())}; }

Outcome run_program(Session& session, const Arguments& arguments)
{
  if (!arguments.has("PROGRAM")) return run_actors(session);
  constexpr int signal_base = 128;  // as shells report a program that a signal ended
  const auto& argv = arguments.get<std::vector<std::string>>("PROGRAM");
  auto* const waiting = dynamic_cast<Waiting*>(&session.target());
  const ProgramResult result =
      waiting ? waiting->run_until(argv, arguments.given_up) : session.target().run_program(argv);
  Json facts{{"argv", argv}};
  if (result.exit_status) facts["exit_status"] = *result.exit_status;
  if (result.signal) facts["signal"] = *result.signal;
  facts["output"] = result.output;
  facts["errors"] = result.errors;
  return {facts, result.signal ? signal_base + *result.signal : result.exit_status.value_or(0)};
}

Outcome kernel_log(Session& session, const Arguments&) { return {{{"text", session.target().kernel_log()}}}; }

std::string render_target(const Json& facts, const Style& style)
{
  std::string out = fmt::format("{} target '{}': {}, {}\n", facts["kind"].get<std::string>(),
                                style.bold(facts["name"].get<std::string>()), facts["machine"].get<std::string>(),
                                bytes_text(facts["memory_bytes"].get<u64>()));
  if (!facts.contains("memory")) return out;
  for (const Json& range : facts["memory"]) {
    const Range part = read_range(range);
    out += fmt::format("  memory {} ({})\n", range_text(part), bytes_text(part.bytes()));
  }
  for (std::size_t n = 0; n < facts["cpus"].size(); ++n) {
    const Json& c = facts["cpus"][n];
    out += fmt::format("  cpu{}  CR3 {}, CR4 {}, RIP {}\n", n, c["cr3"].get<std::string>(), c["cr4"].get<std::string>(),
                       c["rip"].get<std::string>());
  }
  return out;
}

std::string render_counters(const Json& facts, const Style& style)
{
  using Align = TextTable::Align;
  TextTable table({Align::left, Align::right});
  for (const auto& [name, value] : facts.items())
    table.add({name, name == "bad_entries" && value != 0u ? style.bad(std::to_string(value.get<u64>()))
                                                          : std::to_string(value.get<u64>())});
  return table.text();
}

// Exactly what the program wrote, so that its output can be piped on.
std::string render_run(const Json& facts, const Style& style)
{
  if (facts.contains("actors")) return render_gate(facts, style);
  std::string out = facts["output"].get<std::string>();
  if (facts.contains("signal")) {
    if (!out.empty() && out.back() != '\n') out += '\n';
    out += fmt::format("ended by signal {}\n", facts["signal"].get<int>());
  }
  return out;
}

std::string render_kernel_log(const Json& facts, const Style& style)
{
  std::string text = facts["text"].get<std::string>();
  if (text.empty()) return style.dim("(this target has no kernel, or its log is empty)") + "\n";
  if (text.back() != '\n') text += '\n';
  return text;
}

}  // namespace morsel::session
