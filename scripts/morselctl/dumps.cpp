// SPDX-License-Identifier: GPL-2.0-or-later
//
// dump open, guest open
#include "scripts/morselctl/dumps.hpp"

#include <fmt/format.h>

#include "engine/session/commands.hpp"
#include "engine/session/dump_file.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/memory_target.hpp"
#include "engine/session/words.hpp"
#include "scripts/morselctl/vm_backend.hpp"

namespace morsel::ctl {

using session::Argument;
using session::ArgumentKind;
using session::Arguments;
using session::CommandTable;
using session::Exit;
using session::Failure;
using session::Json;
using session::Outcome;
using session::Session;
using session::Style;

namespace {

constexpr const char* given_root = "root";

std::optional<session::MemoryLayout> layout_of(const Look& look)
{
  if (look.layout.empty()) return {};
  const auto layout = session::find_layout(look.layout);
  if (!layout)
    throw Failure(Exit::usage, "--layout", fmt::format("there is no layout '{}'", look.layout),
                  "Known: flat, q35, pc.");
  return layout;
}

FormatId format_of(const Look& look)
{
  if (look.format.empty()) return FormatId::amd64;
  if (const FormatInfo* const format = find_format(look.format)) return format->id;
  std::vector<std::string_view> names;
  for (const FormatInfo& f : format_table) names.push_back(f.name);
  throw Failure(Exit::usage, "--format", fmt::format("there is no format '{}'", look.format),
                session::suggest(look.format, names));
}

Outcome open_here(Session& session, const Arguments& arguments, const Choice& choice, Look look)
{
  if (!choice.session.empty())
    throw Failure(Exit::usage, arguments.command, "a running session keeps its target",
                  "Serve another one: morselctl --dump FILE serve NAME.");
  look.root = arguments.get_or<std::string>("--root", "");
  look.layout = arguments.get_or<std::string>("--layout", "");
  if (arguments.has("--format")) look.format = find_format(arguments.get<FormatId>("--format"))->name;
  check_look(look);
  session.replace_target(open_look(look));
  Json facts = session::target_info(session, arguments).facts;
  facts["objects"] = session::object_list(session, arguments).facts["objects"];
  return {std::move(facts)};
}

Outcome dump_open(Session& session, const Arguments& arguments, const Choice& choice)
{
  return open_here(session, arguments, choice, {.dump = arguments.text("FILE")});
}

Outcome guest_open(Session& session, const Arguments& arguments, const Choice& choice)
{
  return open_here(session, arguments, choice, {.guest = arguments.text("DOMAIN")});
}

std::string render_opened(const Json& facts, const Style& style)
{
  return session::render_target(facts, style) + (facts["objects"].empty()
                                                     ? "no roots: root add NAME ROOT --format FORMAT\n"
                                                     : session::render_objects(facts, style));
}

}  // namespace

void check_look(const Look& look)
{
  const bool any = !look.dump.empty() || !look.guest.empty();
  if (!any && (!look.root.empty() || !look.format.empty() || !look.layout.empty()))
    throw Failure(Exit::usage, "--root, --format, --layout", "they belong to --dump or --guest");
  if (!look.format.empty() && look.root.empty())
    throw Failure(Exit::usage, "--format", "it is the format of --root, which is not given");
}

std::unique_ptr<session::Target> open_look(const Look& look)
{
  auto target =
      look.dump.empty() ? open_guest(look.guest, layout_of(look)) : session::open_dump(look.dump, layout_of(look));
  if (!look.root.empty())
    target->roots()->add_root(given_root, session::parse_root("--root", look.root, format_of(look)));
  return target;
}

// clang-format off
void add_dump_commands(CommandTable& table, const Choice& choice)
{
  constexpr std::string_view group = "Dumps and foreign guests";
  const Argument root{"--root", ArgumentKind::text, "looks at this root, too, by the name 'root': see 'root add'",
                      true, "ROOT"};
  const Argument format{"--format", ArgumentKind::format, "of the tables of --root; amd64 without", true, "FORMAT"};
  const auto layout = [](std::string_view help) {
    return Argument{"--layout", ArgumentKind::choice, help, true, "LAYOUT", {"flat", "q35", "pc"}};
  };
  table.add({group, "dump open",
             {{"FILE", ArgumentKind::text, "an ELF core of a machine, or a raw image of its RAM"}, root, format,
              layout("of a raw image: without a hole, or with QEMU's below 4 GiB")},
             "Goes over to a dump: its CPUs' address spaces are cpu0, …; the kernel's own, if it is told, 'kernel'.\n"
             "The same at once: morselctl --dump FILE [--root ROOT] [--format FORMAT] [--layout LAYOUT] COMMAND.",
             with(choice, dump_open), render_opened});
  table.add({group, "guest open",
             {{"DOMAIN", ArgumentKind::text, "a running libvirt domain, or the process id of a QEMU"}, root, format,
              layout("of its RAM; without, as its machine has it")},
             "Goes over to a guest that shares its RAM (docs/dumps.md); nothing is loaded into it or changed in it.\n"
             "The same at once: morselctl --guest DOMAIN [--root ROOT] [--format FORMAT] [--layout LAYOUT] COMMAND.",
             with(choice, guest_open), render_opened});
}
// clang-format on

}  // namespace morsel::ctl
