// SPDX-License-Identifier: GPL-2.0-or-later
//
// root add|drop|find: which address spaces of a dump or a foreign guest are looked at.
#include <fmt/format.h>

#include <algorithm>

#include "engine/inspect/find_roots.hpp"
#include "engine/session/commands.hpp"
#include "engine/session/dump_file.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

inspect::TreeSource root_of_cpu(Roots& roots, const Arguments& arguments, const std::string& word)
{
  const u64 number = parse_number(arguments.command + ": ROOT", word.substr(3));
  const std::vector<CpuState> cpus = roots.cpus();
  if (number >= cpus.size())
    throw Failure(Exit::usage, arguments.command, fmt::format("the registers of {} are not known", word),
                  cpus.empty() ? "This target tells no registers: give the root's address."
                               : fmt::format("There are {}: see 'target'.", plural(cpus.size(), "CPU")));
  const auto tables = tables_of(cpus[number]);
  if (!tables)
    throw Failure(Exit::usage, arguments.command,
                  fmt::format("{} does not walk tables of long mode: CR0 {}, CR4 {}", word, hex(cpus[number].cr0),
                              hex(cpus[number].cr4)),
                  "Give the root's address and its format.");
  return *tables;
}

// "p1" for the second of those found; the next one if somebody has called another root so.
std::string free_name(const std::vector<ObjectState>& objects, std::size_t number)
{
  for (;; ++number) {
    std::string name = fmt::format("p{}", number);
    if (std::none_of(objects.begin(), objects.end(), [&](const ObjectState& o) { return o.name == name; })) return name;
  }
}

}  // namespace

inspect::TreeSource parse_root(const std::string& what, const std::string& word, FormatId id)
{
  const FormatInfo& format = *find_format(id);
  const u64 value = parse_number(what, word);
  // EPTP (SDM 3C §25.6.11): walk length minus one in bits 5:3.
  const bool is_ept =
      id == FormatId::ept || id == FormatId::ept_l5 || id == FormatId::ept_no_ad || id == FormatId::ept_mbe;
  if (const u64 length = field_value(value, bits(5, 3)); is_ept && length != 0 && length + 1 != format.levels.size())
    throw Failure(Exit::usage, what,
                  fmt::format("{} is an EPTP of {} levels, and {} has {}", hex(value), length + 1, format.name,
                              format.levels.size()),
                  "Formats: ept, ept_l5, ept_no_ad, ept_mbe.");
  return {id, inspect::root_in_register(id, value), static_cast<Level>(format.levels.size() - 1),
          inspect::Maker::foreign};
}

Outcome root_add(Session& session, const Arguments& arguments)
{
  Roots& roots = roots_of(session, arguments.command);
  const std::string& name = arguments.text("NAME");
  const std::string& word = arguments.text("ROOT");
  const bool of_cpu = word.starts_with("cpu");
  if (of_cpu && arguments.has("--format"))
    throw Failure(Exit::usage, arguments.command, "a CPU's registers say the format themselves", "Leave --format out.");
  const inspect::TreeSource root =
      of_cpu ? root_of_cpu(roots, arguments, word)
             : parse_root(arguments.command + ": ROOT", word, arguments.get_or("--format", FormatId::amd64));
  if (arguments.has("--beside")) {
    const ViewState view = roots.add_beside(name, root);
    Json facts{{"object", name}, {"done", "added"}};
    facts.update(view_facts(view));
    return {facts};
  }
  return {object_facts(roots.add_root(name, root))};
}

Outcome root_drop(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  roots_of(session, arguments.command).drop_root(object.name);
  return {{{"object", object.name}, {"done", "dropped"}}};
}

Outcome root_find(Session& session, const Arguments& arguments)
{
  Roots& roots = roots_of(session, arguments.command);
  const ObjectState like = find_object(session.target(), arguments.command, arguments.text("LIKE"));
  const FormatInfo& format = *find_format(like.format);
  if (inspect::sign_boundary(format) == 0)
    throw Failure(Exit::usage, arguments.command,
                  fmt::format("trees of {} have no kernel's half in common", format.name),
                  "It takes a process' or the kernel's own tables of amd64 or RISC-V.");
  Json list = Json::array();
  for (const inspect::FoundRoot& found : inspect::find_roots(session.target().memory(), like.source())) {
    Json facts{{"root", hex(found.root.value)}, {"user_entries", found.user_entries}};
    const std::vector<ObjectState> objects = session.target().objects();
    for (const ObjectState& o : objects)
      if (o.root == found.root && !facts.contains("name")) facts["name"] = o.name;
    if (arguments.has("--add") && !facts.contains("name")) {
      inspect::TreeSource source = like.source();
      source.root = found.root;
      facts["name"] = roots.add_root(free_name(objects, list.size()), source).name;
    }
    list.push_back(std::move(facts));
  }
  return {{{"like", like.name}, {"format", format.name}, {"roots", std::move(list)}}};
}

std::string render_root(const Json& facts, const Style& style)
{
  return facts.contains("done")
             ? fmt::format(
                   "{}: {}{}\n", style.bold(facts["object"].get<std::string>()), facts["done"].get<std::string>(),
                   facts.contains("view")
                       ? fmt::format(" view {} ({})", facts["view"].get<u64>(), facts["format"].get<std::string>())
                       : "")
             : render_object(facts, style);
}

std::string render_found(const Json& facts, const Style& style)
{
  std::string out = fmt::format("{} with the kernel's half of {}\n", plural(facts["roots"].size(), "root"),
                                style.bold(facts["like"].get<std::string>()));
  TextTable table;
  for (const Json& root : facts["roots"])
    table.add(
        {root["root"].get<std::string>(), root.contains("name") ? style.bold(root["name"].get<std::string>()) : "",
         root["user_entries"] == 0u ? "nothing for user mode"
                                    : fmt::format("{} for user mode in its root", root["user_entries"].get<u64>())});
  return out + table.text("  ");
}

}  // namespace morsel::session
