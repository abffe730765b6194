// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/vm_target.hpp"

#include "testvm/host/target_json.hpp"

namespace morsel::testvm {

using session::Exit;
using session::Failure;

namespace {

std::vector<u8> bytes_of_hex(const std::string& text)
{
  std::vector<u8> bytes;
  const auto digit = [](char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; };
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<u8>(digit(text[i]) << 4 | digit(text[i + 1])));
  return bytes;
}

Json range_arguments(const std::string& name, Range range)
{
  return {{"name", name}, {"start", range.start}, {"end", range.end}};
}

}  // namespace

std::unique_ptr<VmTarget> VmTarget::start(const VmConfig& config)
{
  return std::make_unique<VmTarget>(VmConnection::start(config));
}

std::unique_ptr<VmTarget> VmTarget::attach(const std::string& name)
{
  return std::make_unique<VmTarget>(VmConnection::attach(name));
}

VmTarget::VmTarget(std::unique_ptr<VmConnection> connection)
    : connection_(std::move(connection)),
      memory_(connection_->info().ram, connection_->info().memory_bytes),
      journal_(*connection_, memory_.physical()),
      stepping_(*connection_)
{
  check_memory();
}

VmTarget::~VmTarget() { connection_->listen({}); }

// The agent says what stands in a page of its own, and where.
void VmTarget::check_memory()
{
  const Json landmark = connection_->request("landmark");
  const std::string pattern = text_field(landmark, "pattern");
  constexpr std::size_t least_digits = 32;
  const bool is_hex = pattern.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (pattern.size() >= least_digits && is_hex && memory_.holds({number_field(landmark, "pa")}, bytes_of_hex(pattern)))
    return;
  throw Failure(Exit::target_lost, "mapping the guest's memory",
                "what the agent put into a page of its own does not stand there",
                "this " + vm().machine + " lays its memory out in another way than its version in Debian 12");
}

session::TargetInfo VmTarget::info() const
{
  const VmInfo& vm = connection_->info();
  return {"vm", vm.name, vm.machine + " " + vm.machine_version + " " + vm.accelerator + ", Linux " + vm.kernel,
          vm.memory_bytes};
}

session::Counters VmTarget::counters() { return counters_from_json(connection_->request("counters")); }

std::vector<session::ObjectState> VmTarget::objects() { return objects_from_json(connection_->request("object-list")); }

session::ObjectState VmTarget::object(const std::string& name)
{
  return object_from_json(connection_->request("object-info", {{"name", name}}));
}

session::ObjectState VmTarget::create_object(const std::string& name, u64 bytes, std::optional<Level> root_level)
{
  Json arguments{{"name", name}, {"bytes", bytes}};
  if (root_level) arguments["root_level"] = *root_level;
  return object_from_json(connection_->request("object-create", arguments));
}

void VmTarget::destroy_object(const std::string& name) { connection_->request("object-destroy", {{"name", name}}); }

u64 VmTarget::populate(const std::string& name, Range range, Rights rights, Level leaf_level)
{
  Json arguments = range_arguments(name, range);
  arguments["rights"] = rights_word(rights);
  arguments["leaf_level"] = leaf_level;
  return number_field(connection_->request("object-populate", arguments), "changed_pages");
}

u64 VmTarget::unmap(const std::string& name, Range range)
{
  return number_field(connection_->request("object-unmap", range_arguments(name, range)), "changed_pages");
}

u64 VmTarget::protect(const std::string& name, Range range, Rights rights)
{
  Json arguments = range_arguments(name, range);
  arguments["rights"] = rights_word(rights);
  return number_field(connection_->request("object-protect", arguments), "changed_pages");
}

void VmTarget::split(const std::string& name, Range range, Level leaf_level)
{
  Json arguments = range_arguments(name, range);
  arguments["leaf_level"] = leaf_level;
  connection_->request("object-split", arguments);
}

u64 VmTarget::merge(const std::string& name, Range range, Level leaf_level)
{
  Json arguments = range_arguments(name, range);
  arguments["leaf_level"] = leaf_level;
  const u64 pages = number_field(connection_->request("object-merge", arguments), "changed_pages");
  return pages / (entry_bytes<Amd64L4>(leaf_level) / page_bytes);
}

u64 VmTarget::migrate(const std::string& name, Range range)
{
  return number_field(connection_->request("object-migrate", range_arguments(name, range)), "changed_pages");
}

session::HarvestReply VmTarget::harvest(const std::string& name, Range range)
{
  std::vector<Range> accessed, dirty;
  for (Range rest = range; !rest.empty();) {
    const Json part = connection_->request("object-harvest", range_arguments(name, rest));
    for (const auto& run : runs_from_json(part, "accessed", rest)) accessed.push_back(run.range);
    for (const auto& run : runs_from_json(part, "dirty", rest)) dirty.push_back(run.range);
    rest.start = next_from_json(part, rest);
  }
  return {session::joined(std::move(accessed)), session::joined(std::move(dirty))};
}

std::vector<session::MappedRun> VmTarget::ranges(const std::string& name, Range range, bool dirty)
{
  std::vector<session::MappedRun> runs;
  for (Range rest = range; !rest.empty();) {
    Json arguments = range_arguments(name, rest);
    arguments["dirty"] = dirty;
    const Json part = connection_->request("object-ranges", arguments);
    const auto more = runs_from_json(part, "runs", rest);
    runs.insert(runs.end(), more.begin(), more.end());
    rest.start = next_from_json(part, rest);
  }
  return runs;
}

std::vector<session::MappedRun> VmTarget::populated(const std::string& name, Range range)
{
  return ranges(name, range, false);
}

std::vector<Range> VmTarget::dirty(const std::string& name, Range range)
{
  std::vector<Range> runs;
  for (const auto& run : ranges(name, range, true)) runs.push_back(run.range);
  return session::joined(std::move(runs));
}

session::ObjectState VmTarget::clone_object(const std::string& base, const std::string& name)
{
  throw Failure(Exit::usage, "clone object " + base + " as " + name,
                "the kernel module makes no clones: they are the embedded machine's for now", "use --embedded");
}

session::ViewState VmTarget::add_view(const std::string& name, FormatId format)
{
  const FormatInfo* info = find_format(format);
  if (!info) throw Failure(Exit::usage, "adding a view", "there is no such format");
  return view_from_json(connection_->request("view-add", {{"name", name}, {"format", info->name}}));
}

void VmTarget::drop_view(const std::string& name, TreeId view)
{
  connection_->request("view-drop", {{"name", name}, {"view", view}});
}

session::AccessReply VmTarget::access(const session::AccessRequest& r)
{
  const Json answer = connection_->request("access", {{"name", r.object},
                                                      {"view", r.view},
                                                      {"offset", r.offset},
                                                      {"rights", rights_word(r.right)},
                                                      {"populate", r.populate},
                                                      {"touch", r.touch},
                                                      {"vcpu", r.vcpu},
                                                      {"value", r.value}});
  session::AccessReply reply = access_from_json(answer);
  const VmInfo& vm = connection_->info();
  if (text_field(answer, "walker") != "engine") reply.walker += ", " + vm.machine + " " + vm.accelerator;
  return reply;
}

u32 VmTarget::inject(const session::InjectRule& rule)
{
  return static_cast<u32>(number_field(connection_->request("inject-add", json_of_rule(rule)), "rule"));
}

std::vector<session::InjectRule> VmTarget::injected() { return rules_from_json(connection_->request("inject-list")); }

void VmTarget::clear_injected() { connection_->request("inject-clear"); }

session::ProgramResult VmTarget::run_program(const std::vector<std::string>& argv)
{
  return run_until(argv, {});
}

session::ProgramResult VmTarget::run_until(const std::vector<std::string>& argv, const std::stop_token& told)
{
  return program_from_json(connection_->run({{"argv", argv}}, told));
}

u32 VmTarget::start_program(const std::vector<std::string>& argv)
{
  return static_cast<u32>(number_field(connection_->request("run", {{"argv", argv}, {"detach", true}}), "pid"));
}

session::ProgramResult VmTarget::end_program(u32 pid)
{
  connection_->request("kill", {{"pid", pid}});
  return program_from_json(connection_->request("wait", {{"pid", pid}}));
}

std::string VmTarget::kernel_log() { return text_field(connection_->request("kernel-log"), "text"); }

void VmTarget::listen(std::function<void(const session::Event&)> listener)
{
  if (!listener) return connection_->listen({});
  connection_->listen([listener = std::move(listener)](const Json& message) {
    if (const auto event = event_from_json(message)) listener(*event);
  });
}

}  // namespace morsel::testvm
