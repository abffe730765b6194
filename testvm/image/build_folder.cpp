// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where the parts of an image lie in a build folder.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>

#include "engine/session/failure.hpp"
#include "testvm/image/image.hpp"
#include "testvm/image/kernel_modules.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

// kernel.env: NAME='value' lines.
std::map<std::string, std::string> read_environment(const fs::path& file)
{
  std::ifstream stream(file);
  if (!stream)
    throw Failure(Exit::skipped, "reading " + file.string(), "the guest's kernel has not been unpacked",
                  "build the target `kernel` (scripts/start does)");
  std::map<std::string, std::string> values;
  for (std::string line; std::getline(stream, line);) {
    const auto equals = line.find("='");
    if (equals == std::string::npos || !line.ends_with('\'')) continue;
    values[line.substr(0, equals)] = line.substr(equals + 2, line.size() - equals - 3);
  }
  return values;
}

std::vector<fs::path> regular_files_in(const fs::path& folder)
{
  std::vector<fs::path> files;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

GuestKernel guest_kernel_of(const fs::path& build_folder)
{
  const fs::path file = build_folder / "kernel" / "kernel.env";
  auto values = read_environment(file);
  for (const char* name : {"KERNEL_RELEASE", "VMLINUX", "KDIR", "MODULES"})
    if (values[name].empty())
      throw Failure(Exit::skipped, "reading " + file.string(), std::string(name) + " is missing",
                    "remove " + file.parent_path().string() + " and build the target `kernel` again");
  return {values["KERNEL_RELEASE"], values["VMLINUX"], values["KDIR"], values["MODULES"]};
}

ImageInputs inputs_of_build(const fs::path& build_folder, const std::vector<std::string>& modules)
{
  ImageInputs inputs;
  std::string name = "initramfs";
  for (const std::string& module : modules) name += "+" + module_name(module);
  inputs.output = build_folder / "guest" / (name + ".cpio");
  inputs.needed_modules.insert(inputs.needed_modules.end(), modules.begin(), modules.end());
  inputs.init = build_folder / "guest" / "init";
  inputs.modules = guest_kernel_of(build_folder).modules;
  if (const fs::path module = build_folder / "kmod" / "morsel.ko"; fs::exists(module)) inputs.kernel_module = module;
  inputs.agent = build_folder / "guest" / "bin" / "morsel-agent";
  for (const fs::path& program : regular_files_in(build_folder / "guest" / "bin"))
    if (program != inputs.agent) inputs.programs.push_back(program);
  return inputs;
}

fs::path find_build_folder()
{
  if (const char* named = std::getenv("MORSEL_BUILD"); named && *named) return named;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  for (fs::path folder = program.parent_path(); folder != folder.root_path(); folder = folder.parent_path())
    if (fs::exists(folder / "guest" / "init")) return folder;
  throw Failure(Exit::skipped, "looking for the build folder",
                "no folder above " + program.string() + " has guest/init",
                "run the program from its build folder, or name that folder in MORSEL_BUILD");
}

}  // namespace morsel::testvm
