// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/fuzz/corpus.hpp"

#include <filesystem>
#include <fstream>

#include "engine/session/journal_file.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {

namespace {

constexpr u64 memory_bytes = u64{4} << 20, object_bytes = u64{4} << 20;

Seed seed_of(const FormatInfo& format, const std::string& folder)
{
  const auto target = sim::make_embedded_target(memory_bytes);
  target->create_object("before", page_bytes * 8, {});
  Recorder recorder;
  recorder.start(*target);
  target->create_object("demo", object_bytes, {});
  target->populate("demo", {0, 4 * page_bytes}, rights_rw, 0);
  recorder.sync(*target);
  const TreeId view = target->add_view("demo", format.id).number;
  for (const u64 page : {0, 1, 3}) target->access({"demo", view, page * page_bytes, right_write});
  recorder.sync(*target);
  target->inject({.point = SyncPoint::invalidate, .action = MORSEL_FAULT_DROP, .tree = view});
  target->unmap("demo", {page_bytes, 2 * page_bytes});
  target->protect("demo", {0, page_bytes}, right_read);
  target->destroy_object("before");
  recorder.sync(*target);
  Seed seed{std::string(format.name), {}};
  const std::string path = (std::filesystem::path(folder) / seed.name).string();
  save_journal(recorder.chronicle(), path);
  std::ifstream file(path, std::ios::binary);
  seed.bytes.assign(std::istreambuf_iterator<char>(file), {});
  return seed;
}

}  // namespace

std::vector<Seed> make_corpus(const std::string& folder)
{
  std::vector<Seed> seeds;
  for (const FormatInfo& format : format_table) seeds.push_back(seed_of(format, folder));
  return seeds;
}

}  // namespace morsel::session
