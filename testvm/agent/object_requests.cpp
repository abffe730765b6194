// SPDX-License-Identifier: GPL-2.0-or-later
//
// Requests about objects, views and injected faults: each fills one structure of engine/abi/morsel_ioctl.h.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <limits>

#include "engine/abi/morsel_counters.h"
#include "engine/abi/morsel_device.h"
#include "engine/abi/morsel_ioctl.h"
#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"
#include "engine/abi/morsel_vcpu.h"
#include "engine/format/all.hpp"
#include "testvm/agent/requests.hpp"

namespace morsel::agent {
namespace {

using Words = std::vector<Arguments::Word>;

const Words formats = [] {
  Words words;
  words.reserve(format_table.size());
  for (const FormatInfo& format : format_table)
    words.push_back({format.name.data(), static_cast<std::uint32_t>(format.id)});
  return words;
}();
const Words root_levels = {{"pte", MORSEL_ROOT_PTE}, {"pmd", MORSEL_ROOT_PMD}, {"pud", MORSEL_ROOT_PUD}};
const Words actions = {{"drop", MORSEL_FAULT_DROP},         {"fail", MORSEL_FAULT_FAIL},
                       {"delay", MORSEL_FAULT_DELAY},       {"duplicate", MORSEL_FAULT_DUPLICATE},
                       {"corrupt", MORSEL_FAULT_CORRUPT},   {"crash", MORSEL_FAULT_CRASH}};
const Words points = {
#define MORSEL_POINT_WORD(number, name, text) {#name, number},
    MORSEL_POINTS(MORSEL_POINT_WORD)
#undef MORSEL_POINT_WORD
};
constexpr std::uint32_t primary_tree = 0, any_tree = 0xffffffff;

template <class T>
T sized()
{
  T value{};
  value.size = sizeof value;
  return value;
}

morsel_info read_info(Module& module, const std::string& name)
{
  auto info = sized<morsel_info>();
  module.request_on(name, Open::for_reading, MORSEL_IOC_INFO, &info);
  return info;
}

Json describe(const morsel_view_info& view)
{
  return {{"view", view.view},
          {"format", name_of(view.format, formats)},
          {"root_pa", view.root_pa},
          {"root_level", view.root_level},
          {"attached", view.attached}};
}

Json describe(const morsel_info& info, const std::string& name)
{
  Json views = Json::array();
  for (const morsel_view_info& view : info.views)
    if (view.view != 0) views.push_back(describe(view));
  return {{"name", name},
          {"id", info.object_id},
          {"bytes", info.bytes},
          {"root_pa", info.root_pa},
          {"root_level", info.root_level},
          {"attached", info.attached},
          {"tables", info.tables},
          {"frames", info.frames},
          {"views", views}};
}

void announce(Context& context, const std::string& name) { context.emit("OBJECT_CHANGED", Json{{"name", name}}); }

// The lowest root that covers the object, unless one was asked for.
std::uint32_t root_level_of(const Arguments& arguments, std::uint64_t bytes)
{
  if (arguments.has("root_level")) return arguments.word("root_level", root_levels);
  if (bytes <= std::uint64_t{1} << 21) return MORSEL_ROOT_PTE;
  return bytes <= std::uint64_t{1} << 30 ? MORSEL_ROOT_PMD : MORSEL_ROOT_PUD;
}

std::optional<Json> create(Context& context, const Arguments& arguments)
{
  const std::string name = arguments.object_name();
  if (name.size() >= MORSEL_NAME_BYTES)
    throw RequestError(EINVAL, "a new object's name is at most " + std::to_string(MORSEL_NAME_BYTES - 1) + " bytes");
  auto request = sized<morsel_create>();
  request.bytes = arguments.number("bytes");
  request.root_level = root_level_of(arguments, request.bytes);
  std::strncpy(request.name, name.c_str(), sizeof request.name - 1);
  try {
    context.module.request(MORSEL_IOC_CREATE, &request);
  } catch (const RequestError& error) {
    if (error.number() != EEXIST) throw;
    throw RequestError(EEXIST, "there is an object '" + name + "': destroy it first, or choose another name");
  }
  close(request.fd);
  announce(context, name);
  return describe(read_info(context.module, name), name);
}

std::optional<Json> destroy(Context& context, const Arguments& arguments)
{
  const std::string name = arguments.object_name();
  context.module.remove(name);
  announce(context, name);
  return Json::object();
}

// The names as the module gives them: as often as the list grew between asking for its size and reading it.
std::vector<std::string> read_names(Module& module)
{
  std::vector<char> names(64 * MORSEL_NAME_BYTES);
  for (;;) {
    auto request = sized<morsel_list>();
    request.names = reinterpret_cast<std::uintptr_t>(names.data());
    request.names_bytes = names.size();
    module.request(MORSEL_IOC_LIST, &request);
    if (request.names_bytes > names.size()) {
      names.resize(request.names_bytes + 64 * MORSEL_NAME_BYTES);
      continue;
    }
    std::vector<std::string> result;
    for (std::size_t at = 0; at < request.names_bytes && result.size() < request.count;) {
      result.emplace_back(names.data() + at, strnlen(names.data() + at, request.names_bytes - at));
      at += result.back().size() + 1;
    }
    return result;
  }
}

std::optional<Json> list(Context& context, const Arguments&)
{
  Json objects = Json::array();
  for (const std::string& name : read_names(context.module)) {
    try {
      objects.push_back(describe(read_info(context.module, name), name));
    } catch (const RequestError& error) {
      if (error.number() != ENOENT) throw;  // gone since the list was read
    }
  }
  return Json{{"objects", objects}};
}

std::optional<Json> show(Context& context, const Arguments& arguments)
{
  const std::string name = arguments.object_name();
  return describe(read_info(context.module, name), name);
}

Json change_range(Context& context, const Arguments& arguments, unsigned long code, morsel_range request)
{
  const std::string name = arguments.object_name();
  request.start = arguments.number("start");
  request.end = arguments.number("end");
  try {
    context.module.request_on(name, Open::for_writing, code, &request);
  } catch (const RequestError& error) {
    if (error.number() == ENOMEM) announce(context, name);  // as far as memory reached
    throw;
  }
  announce(context, name);
  return {{"changed_pages", request.changed_pages}};
}

std::optional<Json> populate(Context& context, const Arguments& arguments)
{
  auto request = sized<morsel_range>();
  request.rights = arguments.rights("rights");
  request.leaf_level = arguments.small_number_or("leaf_level", 0);
  return change_range(context, arguments, MORSEL_IOC_POPULATE, request);
}

std::optional<Json> unmap(Context& context, const Arguments& arguments)
{
  return change_range(context, arguments, MORSEL_IOC_UNMAP, sized<morsel_range>());
}

std::optional<Json> protect(Context& context, const Arguments& arguments)
{
  auto request = sized<morsel_range>();
  request.rights = arguments.rights("rights");
  return change_range(context, arguments, MORSEL_IOC_PROTECT, request);
}

std::optional<Json> add_view(Context& context, const Arguments& arguments)
{
  const std::string name = arguments.object_name();
  auto request = sized<morsel_view_add>();
  request.format = arguments.word("format", formats);
  context.module.request_on(name, Open::for_writing, MORSEL_IOC_VIEW_ADD, &request);
  announce(context, name);
  const morsel_info info = read_info(context.module, name);
  for (const morsel_view_info& view : info.views)
    if (view.view == request.view) return describe(view);
  throw RequestError(ENOENT, "view " + std::to_string(request.view) + " was added, and is gone already");
}

std::optional<Json> drop_view(Context& context, const Arguments& arguments)
{
  const std::string name = arguments.object_name();
  auto request = sized<morsel_view_drop>();
  request.view = arguments.small_number("view");
  try {
    context.module.request_on(name, Open::for_writing, MORSEL_IOC_VIEW_DROP, &request);
  } catch (const RequestError& error) {
    if (error.number() != EBUSY) throw;
    throw RequestError(EBUSY, "view " + std::to_string(request.view) + " of " + name +
                                  " is in use: somebody is in the middle of an access, or it is mapped or attached");
  }
  announce(context, name);
  return Json::object();
}

// Why the engine's walker had to do it, where this machine's hardware might have.
template <class Request>
std::string why_no_hardware(Context& context, const std::string& name, unsigned long code, Request request)
{
  try {
    context.module.request_on(name, Open::for_writing, code, &request);
    close(request.fd);  // by now it would
    return {};
  } catch (const RequestError& error) {
    if (error.number() != ENODEV && error.number() != EBUSY && error.number() != ENOENT) return {};
    return {request.reason, strnlen(request.reason, sizeof request.reason)};
  }
}

// An access that only a virtual CPU may do has failed: because there is none?
void check_vcpu(Context& context, const std::string& name, std::uint32_t view, int number)
{
  if (number != EOPNOTSUPP && number != ENODEV && number != EBUSY) return;
  auto vcpu = sized<morsel_vcpu_create>();
  vcpu.view = view;
  const std::string why = why_no_hardware(context, name, MORSEL_IOC_VCPU, vcpu);
  if (why.empty() && number != EOPNOTSUPP) return;  // there is one: it failed otherwise
  throw RequestError(EOPNOTSUPP, "there is no virtual CPU for it: " +
                                     (why.empty() ? "nothing in this machine walks that tree's format" : why));
}

void explain_walker(Context& context, const std::string& name, std::uint32_t view, Json& reply)
{
  if (view == primary_tree) return;  // to ask for a virtual CPU there is to attach the primary, for good
  auto vcpu = sized<morsel_vcpu_create>();
  vcpu.view = view;
  if (const std::string why = why_no_hardware(context, name, MORSEL_IOC_VCPU, vcpu); !why.empty()) reply["why"] = why;
  auto device = sized<morsel_device_attach>();
  device.view = view;
  device.kind = MORSEL_DEVICE_EDU;
  device.device = MORSEL_DEVICE_ANY;
  if (const std::string why = why_no_hardware(context, name, MORSEL_IOC_DEVICE, device); !why.empty())
    reply["why_no_device"] = why;
}

const char* walker_name(std::uint32_t walker)
{
  switch (walker) {
    case MORSEL_WALKER_ENGINE: return "engine";
    case MORSEL_WALKER_CPU: return "cpu";
    case MORSEL_WALKER_SVM: return "svm";
    case MORSEL_WALKER_VMX: return "vmx";
    case MORSEL_WALKER_VTD: return "vtd";
    default: return nullptr;
  }
}

std::optional<Json> access(Context& context, const Arguments& arguments)
{
  constexpr const char* results[] = {"hit", "filled", "populated", "denied"};
  const std::string name = arguments.object_name();
  auto request = sized<morsel_access>();
  request.view = arguments.small_number("view");
  request.offset = arguments.number("offset");
  request.rights = arguments.rights("rights");
  request.value = arguments.number_or("value", 0);
  if (arguments.flag("populate")) request.flags |= MORSEL_ACCESS_POPULATE;
  if (arguments.flag("touch")) request.flags |= MORSEL_ACCESS_TOUCH;
  if (arguments.flag("vcpu")) request.flags |= MORSEL_ACCESS_VCPU;
  try {
    context.module.request_on(name, Open::for_writing, MORSEL_IOC_ACCESS, &request);
  } catch (const RequestError& error) {
    if (arguments.flag("vcpu")) check_vcpu(context, name, request.view, error.number());
    // A hole that is not to be populated: not allowed, as a missing right.
    if (error.number() != ENXIO || arguments.flag("populate")) throw;
    request.result = MORSEL_ACCESS_DENIED;
  }
  const char* const walker = walker_name(request.walker);
  if (request.result >= std::size(results) || !walker)
    throw RequestError(EPROTO, "the module answered with an unknown result or walker");
  // Touching a page sets its accessed and dirty bits, whatever else happened.
  if (request.result != MORSEL_ACCESS_DENIED) announce(context, name);
  Json reply{{"result", results[request.result]}, {"walker", walker}, {"value", request.value}};
  if (request.walker == MORSEL_WALKER_ENGINE && arguments.flag("touch"))
    explain_walker(context, name, request.view, reply);
  return reply;
}

std::optional<Json> add_injection(Context& context, const Arguments& arguments)
{
  auto request = sized<morsel_inject>();
  request.point = arguments.word("point", points);
  request.action = arguments.word("action", actions);
  request.view = arguments.small_number_or("view", any_tree);
  request.nth = arguments.number_or("nth", 1);
  request.times = arguments.number_or("times", 1);
  request.actor = arguments.small_number_or("actor", 0);
  request.start = arguments.number_or("start", 0);
  request.end = arguments.number_or("end", 0);
  request.interval = arguments.number_or("interval", 1);
  request.probability = arguments.small_number_or("probability", 100);
  request.seed = arguments.number_or("seed", 0);
  request.bits = arguments.number_or("bits", 0);
  if (arguments.has("until")) request.until = arguments.word("until", points);
  if (arguments.has("name")) request.object_id = object_id(context.module, arguments.object_name());
  context.faults.start();
  try {
    context.module.request(MORSEL_IOC_INJECT_ADD, &request);
  } catch (const RequestError& error) {
    if (error.number() != EOPNOTSUPP) throw;
    throw RequestError(EOPNOTSUPP,
                       "the kernel module does not do that there, it would harm the kernel that runs: it drops, "
                       "delays and duplicates at reserve, publish, undo, pend, unpend, invalidate, flush and carry, "
                       "corrupts at publish, flush and copy, lets allocations and compare-and-swaps of entries fail, "
                       "and crashes the machine anywhere");
  }
  return Json{{"rule", request.rule}};
}

Json describe(const morsel_inject& request, ObjectNames& names)
{
  Json rule{{"rule", request.rule},
            {"point", name_of(request.point, points)},
            {"action", name_of(request.action, actions)},
            {"nth", request.nth},
            {"times", request.times},
            {"interval", request.interval},
            {"probability", request.probability},
            {"seed", request.seed},
            {"bits", request.bits},
            {"fired", request.fired}};
  if (request.view != any_tree) rule["view"] = request.view;
  if (request.actor != 0) rule["actor"] = request.actor;
  if (request.object_id != 0) rule["name"] = names.of(request.object_id);
  if (request.action == MORSEL_FAULT_DELAY) rule["until"] = name_of(request.until, points);
  if (request.end == 0) return rule;
  rule["start"] = request.start;
  rule["end"] = request.end;
  return rule;
}

// The module is asked for one rule after the other until it knows no more.
std::optional<Json> list_injections(Context& context, const Arguments&)
{
  Json rules = Json::array();
  ObjectNames names(context.module);
  for (std::uint32_t number = 1; number < std::numeric_limits<std::uint32_t>::max(); ++number) {
    auto request = sized<morsel_inject>();
    request.rule = number;
    try {
      context.module.request(MORSEL_IOC_INJECT_LIST, &request);
    } catch (const RequestError& error) {
      if (error.number() == ENOENT) break;
      throw;
    }
    rules.push_back(describe(request, names));
  }
  return Json{{"rules", rules}};
}

std::optional<Json> clear_injections(Context& context, const Arguments&)
{
  context.module.request(MORSEL_IOC_INJECT_CLEAR, nullptr);
  context.faults.stop();
  return Json::object();
}

std::optional<Json> read_counters(Context& context, const Arguments&)
{
  auto c = sized<morsel_counters>();
  context.module.request(MORSEL_IOC_COUNTERS, &c);
  Json facts;
#define MORSEL_COUNTER_FACT(field, name) facts[#field] = c.field;
  MORSEL_COUNTER_LIST(MORSEL_COUNTER_FACT)
#undef MORSEL_COUNTER_FACT
  return facts;
}

}  // namespace

const std::vector<Arguments::Word>& point_words() { return points; }

Json name_of(std::uint32_t number, const Words& words)
{
  for (const auto& word : words)
    if (word.number == number) return word.name;
  return number;
}

std::map<std::uint32_t, std::string> object_names(Module& module)
{
  std::map<std::uint32_t, std::string> result;
  for (const std::string& name : read_names(module)) {
    try {
      result[read_info(module, name).object_id] = name;
    } catch (const RequestError& error) {
      if (error.number() != ENOENT) throw;  // gone since the list was read
    }
  }
  return result;
}

std::uint32_t object_id(Module& module, const std::string& name)
{
  for (const auto& [id, known] : object_names(module))
    if (known == name) return id;
  throw RequestError(ENOENT, "there is no object " + name);
}

std::span<const RequestKind> object_requests()
{
  static const RequestKind kinds[] = {
      {"object-create", {"name", "bytes", "root_level"}, create, Place::worker},
      {"object-destroy", {"name"}, destroy, Place::worker},
      {"object-list", {}, list},
      {"object-info", {"name"}, show},
      {"object-populate", {"name", "start", "end", "rights", "leaf_level"}, populate, Place::worker},
      {"object-unmap", {"name", "start", "end"}, unmap, Place::worker},
      {"object-protect", {"name", "start", "end", "rights"}, protect, Place::worker},
      {"view-add", {"name", "format"}, add_view, Place::worker},
      {"view-drop", {"name", "view"}, drop_view, Place::worker},
      {"access", {"name", "view", "offset", "rights", "populate", "touch", "vcpu", "value"}, access, Place::worker},
      {"inject-add",
       {"point", "action", "view", "nth", "times", "actor", "start", "end", "interval", "probability", "seed", "bits",
        "until", "name"},
       add_injection},
      {"inject-list", {}, list_injections},
      {"inject-clear", {}, clear_injections},
      {"counters", {}, read_counters},
  };
  return kinds;
}

}  // namespace morsel::agent
