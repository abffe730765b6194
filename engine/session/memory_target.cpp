// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/memory_target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "engine/session/dump_file.hpp"
#include "engine/session/mapped_file.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

MemoryTarget::MemoryTarget(TargetInfo info, std::shared_ptr<const void> keep,
                           std::vector<inspect::MemorySegment> segments, Cpus cpus)
    : info_(std::move(info)), keep_(std::move(keep)), memory_(std::move(segments)), cpus_(std::move(cpus))
{
  info_.memory_bytes = memory_.bytes();
}

void MemoryTarget::refuse(const std::string& tried) const
{
  throw Failure(Exit::usage, tried,
                fmt::format("the {} '{}' is only looked at: nothing changes there", info_.kind, info_.name),
                "tree, diff, walk and root work here. Objects live in a test VM (morselctl vm up) and in the machine "
                "inside this process (--embedded).");
}

ObjectState& MemoryTarget::find(const std::string& name, const std::string& tried)
{
  std::vector<std::string_view> names;
  for (ObjectState& o : objects_) {
    if (o.name == name) return o;
    names.push_back(o.name);
  }
  throw Failure(Exit::usage, tried, fmt::format("there is no root '{}'", name),
                names.empty() ? "There are no roots yet: root add NAME ROOT --format FORMAT." : suggest(name, names));
}

void MemoryTarget::check_root(const std::string& tried, const inspect::TreeSource& root) const
{
  const FormatInfo& format = *find_format(root.format);
  const u64 bytes = sizeof(u64) << format.levels[root.root_level].index_bits;
  if (!is_aligned(root.root.value, bytes))
    throw Failure(Exit::usage, tried,
                  fmt::format("a root of {} begins at a multiple of {}, and {} is none", format.name, bytes_text(bytes),
                              hex(root.root.value)));
  if (memory_.words(root.root, bytes / sizeof(u64))) return;
  std::string parts;
  for (std::size_t n = 0; n < std::min<std::size_t>(memory_.segments().size(), 4); ++n)
    parts += (n ? ", " : "") +
             range_text({memory_.segments()[n].start, memory_.segments()[n].start + memory_.segments()[n].bytes});
  throw Failure(Exit::usage, tried, fmt::format("{} lies outside the memory that is there", hex(root.root.value)),
                fmt::format("There is {}{}.", parts, memory_.segments().size() > 4 ? ", …" : ""));
}

ObjectState MemoryTarget::add_root(const std::string& name, const inspect::TreeSource& root)
{
  const std::string tried = "add the root " + name;
  if (std::any_of(objects_.begin(), objects_.end(), [&](const ObjectState& o) { return o.name == name; }))
    throw Failure(Exit::usage, tried, "there is one of that name", "'root drop' forgets it.");
  check_root(tried, root);
  ObjectState object;
  object.name = name;
  object.id = ++last_id_;
  object.bytes = inspect::space_range(*find_format(root.format)).end;
  object.root = root.root;
  object.root_level = root.root_level;
  object.format = root.format;
  object.maker = inspect::Maker::foreign;
  objects_.push_back(object);
  return object;
}

ViewState MemoryTarget::add_beside(const std::string& name, const inspect::TreeSource& root)
{
  const std::string tried = "add a root beside " + name;
  ObjectState& object = find(name, tried);
  check_root(tried, root);
  const TreeId number = object.views.empty() ? 1 : object.views.back().number + 1;
  object.views.push_back({number, root.format, root.root, root.root_level, 0, inspect::Maker::foreign});
  return object.views.back();
}

void MemoryTarget::drop_root(const std::string& name)
{
  const ObjectState& object = find(name, "drop the root " + name);
  objects_.erase(objects_.begin() + (&object - objects_.data()));
}

void MemoryTarget::add_cpu_roots()
{
  const std::vector<CpuState> all = cpus();
  for (std::size_t n = 0; n < all.size(); ++n) {
    const auto tables = tables_of(all[n]);
    const bool known = !tables || std::any_of(objects_.begin(), objects_.end(),
                                              [&](const ObjectState& o) { return o.root == tables->root; });
    if (!known && memory_.words(tables->root, 512)) add_root(fmt::format("cpu{}", n), *tables);
  }
}

ObjectState MemoryTarget::create_object(const std::string& name, u64, std::optional<Level>)
{
  refuse("create the object " + name);
}
void MemoryTarget::destroy_object(const std::string& name) { refuse("destroy " + name); }
u64 MemoryTarget::populate(const std::string& name, Range, Rights, Level) { refuse("populate " + name); }
u64 MemoryTarget::unmap(const std::string& name, Range) { refuse("unmap pages of " + name); }
u64 MemoryTarget::protect(const std::string& name, Range, Rights) { refuse("change the rights of " + name); }
void MemoryTarget::split(const std::string& name, Range, Level) { refuse("split leaves of " + name); }
u64 MemoryTarget::merge(const std::string& name, Range, Level) { refuse("merge leaves of " + name); }
u64 MemoryTarget::migrate(const std::string& name, Range) { refuse("move pages of " + name); }
HarvestReply MemoryTarget::harvest(const std::string& name, Range) { refuse("harvest " + name); }
std::vector<MappedRun> MemoryTarget::populated(const std::string& name, Range) { refuse("list ranges of " + name); }
std::vector<Range> MemoryTarget::dirty(const std::string& name, Range) { refuse("list dirty ranges of " + name); }
ObjectState MemoryTarget::clone_object(const std::string& base, const std::string&) { refuse("clone " + base); }
ViewState MemoryTarget::add_view(const std::string& name, FormatId) { refuse("add a view to " + name); }
void MemoryTarget::drop_view(const std::string& name, TreeId) { refuse("drop a view of " + name); }
AccessReply MemoryTarget::access(const AccessRequest& request) { refuse("access " + request.object); }
u32 MemoryTarget::inject(const InjectRule&) { refuse("inject a fault"); }
ProgramResult MemoryTarget::run_program(const std::vector<std::string>&) { refuse("run a program"); }
u32 MemoryTarget::start_program(const std::vector<std::string>&) { refuse("start a program"); }
ProgramResult MemoryTarget::end_program(u32) { refuse("end a program"); }

std::unique_ptr<MemoryTarget> open_dump(const std::string& path, std::optional<MemoryLayout> layout)
{
  const auto file = std::make_shared<MappedFile>(path, "open the dump " + path, Exit::usage);
  Dump dump = read_dump(file->bytes(), path, layout);
  TargetInfo info{"dump", std::filesystem::path(path).filename(), layout ? "a raw image of memory" : "an ELF core", 0};
  if (!dump.machine.empty()) info.machine += ", " + dump.machine;
  if (!dump.release.empty()) info.machine += ", Linux " + dump.release;
  if (dump.left_out != 0) info.machine += fmt::format(", {} left out", bytes_text(dump.left_out));
  auto target = std::make_unique<MemoryTarget>(std::move(info), file, std::move(dump.segments),
                                               [cpus = dump.cpus] { return cpus; });
  target->add_cpu_roots();
  if (dump.kernel && target->memory().words(dump.kernel->root, 512)) target->add_root("kernel", *dump.kernel);
  return target;
}

}  // namespace morsel::session
