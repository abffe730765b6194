// SPDX-License-Identifier: GPL-2.0-or-later
//
// vm up|down|list|console, doctor
#include "scripts/morselctl/machines.hpp"

#include <fmt/format.h>

#include <iostream>
#include <sstream>

#include "engine/session/words.hpp"
#include "engine/sim/embedded_target.hpp"
#include "scripts/morselctl/dumps.hpp"
#include "scripts/morselctl/scenarios.hpp"
#include "scripts/morselctl/sessions.hpp"
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

constexpr u64 most_cpus = 64;
constexpr u64 most_processes = 1 << 22;  // PID_MAX_LIMIT
constexpr std::string_view module_letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
constexpr u64 memory_granule = u64{2} << 20;

std::string vm_name_of(const Arguments& arguments, const Choice& choice)
{
  return name_of(arguments, choice.vm, default_vm_name());
}

// NAME,NAME…
std::vector<std::string> module_names(const Arguments& arguments)
{
  std::vector<std::string> names;
  std::istringstream words(arguments.get_or<std::string>("--load", ""));
  for (std::string name; std::getline(words, name, ',');) {
    if (name.empty() || name.find_first_not_of(module_letters) != std::string::npos)
      throw Failure(Exit::usage, arguments.command + ": --load", fmt::format("'{}' is no module's name", name));
    names.push_back(name);
  }
  return names;
}

Outcome up(Session&, const Arguments& arguments, const Choice& choice)
{
  VmWishes wishes;
  wishes.name = vm_name_of(arguments, choice);
  if (arguments.has("--memory")) {
    wishes.memory_bytes = arguments.number("--memory");
    if (*wishes.memory_bytes == 0 || !is_aligned(*wishes.memory_bytes, memory_granule))
      throw Failure(Exit::usage, arguments.command + ": --memory",
                    fmt::format("{} is no positive multiple of 2 MiB", session::bytes_text(*wishes.memory_bytes)));
  }
  if (arguments.has("--cpus")) {
    wishes.cpus = arguments.number("--cpus");
    if (*wishes.cpus == 0 || *wishes.cpus > most_cpus)
      throw Failure(Exit::usage, arguments.command + ": --cpus",
                    fmt::format("{} is not in 1 to {}", *wishes.cpus, most_cpus));
  }
  wishes.bochs = arguments.get_or<std::string>("--machine", "qemu") == "bochs";
  wishes.with_qemu = arguments.has("--with");
  if (arguments.has("--accelerator")) wishes.accelerator = arguments.text("--accelerator");
  wishes.five_levels = arguments.has("--la57");
  wishes.intel_iommu = arguments.get_or<std::string>("--iommu", "none") == "intel";
  wishes.kernel_arguments = arguments.get_or<std::string>("--append", "");
  wishes.modules = module_names(arguments);
  if (arguments.has("--while")) {
    const u64 process = arguments.number("--while");
    if (process == 0 || process > most_processes)
      throw Failure(Exit::usage, arguments.command + ": --while", fmt::format("{} is no process", process));
    wishes.while_process = static_cast<u32>(process);
  }
  return {{{"vms", Json::array({vm_up(wishes)})}}};
}

Outcome down(Session&, const Arguments& arguments, const Choice& choice)
{
  const std::string name = vm_name_of(arguments, choice);
  vm_down(name);
  return {{{"name", name}, {"done", "ended"}}};
}

Outcome console(Session&, const Arguments& arguments, const Choice& choice)
{
  const std::string name = vm_name_of(arguments, choice);
  if (!arguments.has("--follow")) return {{{"name", name}, {"text", vm_console(name)}}};
  if (arguments.as_json)
    throw Failure(Exit::usage, arguments.command, "--follow has no JSON form", "Leave one of both out.");
  follow_vm_console(name, [](std::string_view text) { std::cout << text << std::flush; });
  return {{{"name", name}, {"text", ""}}};
}

Outcome list(Session&, const Arguments&) { return {{{"vms", vm_list()}}}; }

Outcome examine(Session&, const Arguments&) { return {{{"findings", doctor()}}}; }

std::string render_down(const Json& facts, const Style& style)
{
  return fmt::format("{}: ended\n", style.bold(facts["name"].get<std::string>()));
}

std::string render_vms(const Json& facts, const Style& style)
{
  if (facts["vms"].empty()) return "no VMs\n";
  std::string out;
  for (const Json& vm : facts["vms"]) {
    const std::string domain = vm["domain"].get<std::string>();
    const std::string where =
        domain.empty() ? "" : fmt::format(" domain {} on {};", domain, vm["uri"].get<std::string>());
    out +=
        fmt::format("{}  Linux {}, {}, {}; {} {} {};{} started in {:.2f} s\n",
                    style.bold(vm["name"].get<std::string>()), vm["kernel"].get<std::string>(),
                    session::bytes_text(vm["memory_bytes"].get<u64>()), session::plural(vm["cpus"].get<u64>(), "CPU"),
                    vm["machine"].get<std::string>(), vm["machine_version"].get<std::string>(),
                    vm["accelerator"].get<std::string>(), where, static_cast<double>(vm["start_us"].get<u64>()) / 1e6);
    if (const std::string why = vm["accelerator_reason"].get<std::string>(); !why.empty())
      out += style.dim(fmt::format("  {}: {}", vm["accelerator"].get<std::string>(), why)) + "\n";
    out += style.dim(fmt::format("  console {}, {} {}, holder {}", vm["console"].get<std::string>(),
                                 vm["machine"].get<std::string>(), vm["machine_pid"].get<std::int64_t>(),
                                 vm["holder_pid"].get<std::int64_t>())) +
           "\n";
  }
  return out;
}

std::string render_console(const Json& facts, const Style&)
{
  std::string text = facts["text"].get<std::string>();
  if (!text.empty() && text.back() != '\n') text += '\n';
  return text;
}

std::string render_findings(const Json& facts, const Style& style)
{
  std::string out;
  for (const Json& f : facts["findings"]) {
    const std::string works = f["works"].get<std::string>();
    const std::string sign = works == "yes" ? style.good("✓") : works == "partly" ? "~" : style.bad("✗");
    out += fmt::format("{} {}: {}\n", sign, style.bold(f["what"].get<std::string>()), f["found"].get<std::string>());
    if (const std::string advice = f["advice"].get<std::string>(); !advice.empty()) out += "    " + advice + "\n";
  }
  return out;
}

// clang-format off
void add_vm_commands(CommandTable& table, const Choice& choice)
{
  constexpr std::string_view group = "Virtual machines";
  const Argument name{"NAME", ArgumentKind::text, "the VM's name; without, that of --vm, or 'test'", true};
  table.add({group, "vm up",
             {name,
              {"--machine", ArgumentKind::choice, "the emulator; QEMU without",
               true, "WHAT", {"qemu", "bochs"}},
              {"--memory", ArgumentKind::number, "of the guest, a multiple of 2M; without, 512M (2G with QEMU in it)",
               true, "SIZE"},
              {"--with", ArgumentKind::choice, "what the guest has besides: this machine's QEMU, to run guests in it",
               true, "WHAT", {"qemu"}},
              {"--cpus", ArgumentKind::number, "virtual CPUs; 2 without (1 in Bochs)", true, "N"},
              {"--accelerator", ArgumentKind::choice, "what runs the guest; without, KVM if it really works, else TCG",
               true, "WHAT", {"automatic", "tcg", "kvm"}},
              {"--la57", ArgumentKind::flag, "the guest's kernel uses five levels of page tables"},
              {"--load", ArgumentKind::text, "more modules of the guest's kernel, loaded at start: kvm-amd, …", true,
               "MODULES"},
              {"--iommu", ArgumentKind::choice,
               "a virtual IOMMU for the module to drive, with an edu device and an NVMe drive of 16M behind it",
               true, "WHAT", {"none", "intel"}},
              {"--append", ArgumentKind::text, "kernel arguments to append", true, "WORDS"},
              {"--while", ArgumentKind::number, "ends it when this process ends, even if it is killed", true, "PID"}},
             "Starts a test VM that stays until 'vm down'; nothing of it outlives its holder process.",
             with(choice, up), render_vms});
  table.add({group, "vm down", {name},
             "Ends a test VM and waits until nothing of it is left.", with(choice, down), render_down});
  table.add({group, "vm list", {},
             "Lists the running test VMs.", list, render_vms});
  table.add({group, "vm console", {name, {"--follow", ArgumentKind::flag, "go on until the VM ends"}},
             "Prints what the guest has written to its console.", with(choice, console), render_console});
  table.add({group, "doctor", {},
             "Says what this machine offers, and what to do about what is missing.", examine, render_findings});
}
// clang-format on

}  // namespace

std::unique_ptr<session::Target> open_target(const Choice& choice)
{
  if (choice.embedded) return sim::make_embedded_target();
  if (!choice.look.dump.empty() || !choice.look.guest.empty()) return open_look(choice.look);
  const std::string name = choice.vm.empty() ? default_vm_name() : choice.vm;
  try {
    return attach_vm(name);
  } catch (const Failure& failure) {
    if (failure.code() != Exit::usage) throw;
    throw Failure(failure.code(), failure.tried(), failure.found(),
                  fmt::format("Start it with 'morselctl vm up {}' ('vm list' shows those that run), or use the machine "
                              "inside this process: morselctl --embedded …",
                              name));
  }
}

CommandTable commands(const Choice& choice)
{
  CommandTable table = session::session_commands();
  add_session_commands(table, choice);
  add_scenario_commands(table, choice);
  add_vm_commands(table, choice);
  add_dump_commands(table, choice);
  return table;
}

}  // namespace morsel::ctl
