// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/runtime_folder.hpp"

#include <sys/stat.h>

#include <set>

#include "engine/session/failure.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

constexpr const char* stage_prefix = "morselscope-stage-";

}  // namespace

VmPaths::VmPaths(const std::string& name)
{
  check_vm_name(name);
  const fs::path base = runtime_folder();
  socket = base / (name + ".sock");
  lock = base / (name + ".lock");
  folder = base / name;
  console = folder / "console.log";
  channel = folder / "agent.sock";
  errors = folder / "holder.log";
  stage_note = folder / "staged";
}

void check_vm_name(const std::string& name)
{
  if (!session::is_plain_name(name) || name == "daemons")
    throw Failure(Exit::usage, "naming a VM '" + name + "'", "that is no name for a VM",
                  std::string(session::plain_name_advice));
}

fs::path make_stage(const VmPaths& paths)
{
  std::string name = std::string("/tmp/") + stage_prefix + "XXXXXX";
  if (!mkdtemp(name.data()) || chmod(name.c_str(), 0711) != 0)
    throw Failure(Exit::target_lost, "making a folder in /tmp", errno_text());
  write_file(paths.stage_note, name, 0600);
  return name;
}

void remove_vm_files(const VmPaths& paths)
{
  std::error_code ignored;
  const fs::path staged = read_file(paths.stage_note);
  if (staged.parent_path() == "/tmp" && staged.filename().string().starts_with(stage_prefix))
    fs::remove_all(staged, ignored);
  fs::remove(paths.socket, ignored);
  fs::remove_all(paths.folder, ignored);
}

std::vector<std::string> known_vm_names()
{
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(runtime_folder())) {
    const fs::path& path = entry.path();
    if ((path.extension() == ".sock" || path.extension() == ".lock") && path.stem() != "daemons")
      names.insert(path.stem().string());
  }
  return {names.begin(), names.end()};
}

}  // namespace morsel::testvm
