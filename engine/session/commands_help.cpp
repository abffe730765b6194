// SPDX-License-Identifier: GPL-2.0-or-later
//
// help: the command table about itself; docs/commands.md is `morselctl help --markdown`.
#include <fmt/format.h>

#include <sstream>

#include "engine/session/commands.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

std::string_view kind_name(ArgumentKind kind)
{
  switch (kind) {
    case ArgumentKind::text: return "text";
    case ArgumentKind::number: return "number";
    case ArgumentKind::range: return "range";
    case ArgumentKind::rights: return "rights";
    case ArgumentKind::level: return "level";
    case ArgumentKind::format: return "format";
    case ArgumentKind::point: return "point";
    case ArgumentKind::choice: return "choice";
    case ArgumentKind::flag: return "flag";
    case ArgumentKind::rest: return "rest";
  }
  return "text";
}

Json argument_facts(const Argument& a)
{
  Json facts{{"name", a.name},
             {"kind", kind_name(a.kind)},
             {"help", a.help},
             {"optional", a.optional || a.is_option()}};
  if (!a.value.empty()) facts["value"] = a.value;
  if (!a.choices.empty()) facts["choices"] = a.choices;
  return facts;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string argument_title(const Json& a)
{
  const std::string name = a["name"].get<std::string>();
  return a.contains("value") ? name + " " + a["value"].get<std::string>() : name;
}

std::string choices_text(const Json& a)
{
  std::string out;
  if (a.contains("choices"))
    for (const Json& c : a["choices"]) out += (out.empty() ? " (" : ", ") + c.get<std::string>();
  return out.empty() ? out : out + ")";
}

std::string render_overview(const Json& facts, const Style& style)
{
  std::string out, group;
  TextTable table;
  const auto flush = [&] {
    out += table.text("  ");
    table = TextTable{};
  };
  for (const Json& c : facts["commands"]) {
    if (c["group"] != group) {
      flush();
      group = c["group"].get<std::string>();
      out += style.bold(group) + "\n";
    }
    table.add({c["path"].get<std::string>(), first_line(c["help"].get<std::string>())});
  }
  flush();
  return out + "'help COMMAND' tells its arguments. Every command takes --json: the same facts for machines.\n";
}

std::string render_one(const Json& c, const Style& style)
{
  std::string out = style.bold(c["usage"].get<std::string>()) + "\n";
  std::istringstream help(c["help"].get<std::string>());
  for (std::string line; std::getline(help, line);) out += "  " + line + "\n";
  TextTable table;
  for (const Json& a : c["arguments"]) table.add({argument_title(a), a["help"].get<std::string>() + choices_text(a)});
  return out + table.text("    ");
}

std::string markdown_cell(std::string text)
{
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

constexpr std::string_view markdown_head = R"(# Commands

This file is printed by `morselctl help --markdown`; do not edit it by hand.

`morselctl [--embedded | --vm NAME | --session NAME | --dump FILE | --guest DOMAIN] [--json] [--no-color] COMMAND…`
runs one command. Several are
separated by `;` or `--` (a word of its own; after `run` only `;`). Without a command, or with `-`, commands are read
from standard input, one a line; `#` begins a comment. They run up to the first one that fails. `--embedded` keeps its
objects as long as the process lives; the test VM keeps them as long as the VM is up. `--session` asks a running
[session](sessions.md); `--dump` and `--guest` are told in [dumps and foreign guests](dumps.md).

| word | meaning |
|---|---|
| number, size, offset | `4096`, `0x1000`, `4K`, `2M`, `1G` (powers of 1024) |
| range | `0..2M` half-open; `0x1000+4K` start and length; `4K` the page that begins there; `all` the whole object |
| rights | `r`, `rw`, `rx`, `rwx` |
| view | its number, `primary`, or the name of its format if only one view has it |
| level | `pte`, `pmd`, `pud`, `pml4`, `pml5`, or 0 to 4 |

`--watch`, where a command takes it, goes on and shows what is new whenever an event tells that something has
happened: on a VM, or with `--session`.

Every command takes `--json`: one line with the same facts. In them, words of entries and physical addresses are
hexadecimal strings; offsets, sizes and counts are numbers. A failure is
`{"error":{"exit":…,"tried":…,"found":…,"advice":…}}`.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | the check asked for does not hold: `diff` is not clean, an access is denied, a walk ends without translation |
| 2 | wrong usage, or the target refuses |
| 77 | this machine lacks something; the message says what |
| 125 | the target was lost |

`run` passes the guest program's exit status through (128 + n after signal n).
Colour is used on terminals only, and not if `NO_COLOR` is set.
)";

std::string render_markdown(const Json& facts)
{
  std::string out(markdown_head), group;
  for (const Json& c : facts["commands"]) {
    if (c["group"] != group) {
      group = c["group"].get<std::string>();
      out += fmt::format("\n## {}\n", group);
    }
    out += fmt::format("\n### `{}`\n\n{}\n", c["usage"].get<std::string>(), c["help"].get<std::string>());
    if (c["arguments"].empty()) continue;
    out += "\n| argument | meaning |\n|---|---|\n";
    for (const Json& a : c["arguments"])
      out += fmt::format("| `{}` | {} |\n", argument_title(a),
                         markdown_cell(a["help"].get<std::string>() + choices_text(a)));
  }
  return out;
}

}  // namespace

Json command_facts(const Command& c)
{
  Json arguments = Json::array();
  for (const Argument& a : c.arguments) arguments.push_back(argument_facts(a));
  return {{"group", c.group},
          {"path", c.path},
          {"usage", c.usage()},
          {"help", c.help},
          {"arguments", std::move(arguments)}};
}

Outcome help(Session& session, const Arguments& arguments)
{
  Json list = Json::array();
  const bool some = arguments.has("COMMAND");
  std::string wanted;
  if (some)
    for (const std::string& w : arguments.get<std::vector<std::string>>("COMMAND"))
      wanted += (wanted.empty() ? "" : " ") + w;
  for (const Command& c : session.table().commands())
    if (!some || c.path == wanted || c.path.starts_with(wanted + " ")) list.push_back(command_facts(c));
  if (list.empty()) {
    const std::vector<std::string> words = split_line(wanted);
    list.push_back(command_facts(session.table().find(words)));
  }
  return {{{"overview", !some}, {"markdown", arguments.has("--markdown")}, {"commands", std::move(list)}}};
}

std::string render_help(const Json& facts, const Style& style)
{
  if (facts["markdown"] == true) return render_markdown(facts);
  if (facts["overview"] == true) return render_overview(facts, style);
  std::string out;
  for (const Json& c : facts["commands"]) out += (out.empty() ? "" : "\n") + render_one(c, style);
  return out;
}

}  // namespace morsel::session
