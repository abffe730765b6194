// SPDX-License-Identifier: GPL-2.0-or-later
//
// modules.dep(5): one line per module, "FILE: DEPENDENCY…", dependencies complete, to be loaded from right to left.
#include "testvm/image/kernel_modules.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "engine/session/failure.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

std::map<std::string, std::vector<fs::path>> read_dependencies(const fs::path& modules)
{
  std::map<std::string, std::vector<fs::path>> files;
  std::ifstream stream(modules / "modules.dep");
  if (!stream)
    throw Failure(Exit::skipped, "reading " + (modules / "modules.dep").string(), "the file is missing",
                  "unpack the kernel with testvm/image/unpack-kernel, or run depmod for that kernel");
  for (std::string line; std::getline(stream, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::vector<fs::path> chain{line.substr(0, colon)};
    std::istringstream rest(line.substr(colon + 1));
    for (std::string file; rest >> file;) chain.emplace_back(file);
    std::reverse(chain.begin(), chain.end());
    files.emplace(module_name(chain.back()), std::move(chain));
  }
  return files;
}

bool is_built_in(const fs::path& modules, const std::string& name)
{
  std::ifstream stream(modules / "modules.builtin");
  for (std::string line; std::getline(stream, line);)
    if (module_name(line) == name) return true;
  return false;
}

}  // namespace

std::string module_name(const fs::path& file)
{
  std::string name = file.filename().string();
  name.erase(std::min(name.find(".ko"), name.size()));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::vector<fs::path> load_order(const fs::path& modules, const std::vector<std::string>& names)
{
  const auto files = read_dependencies(modules);
  std::vector<fs::path> order;
  for (const std::string& wanted : names) {
    const auto found = files.find(module_name(wanted));
    if (found == files.end()) {
      if (is_built_in(modules, module_name(wanted))) continue;
      throw Failure(Exit::skipped, "collecting the guest's kernel modules",
                    "the kernel of " + modules.string() + " has no module " + wanted,
                    "name one that its modules.dep lists; without virtio_pci and virtio_console no test VM starts");
    }
    for (const fs::path& file : found->second) {
      if (file.extension() != ".ko")
        throw Failure(Exit::skipped, "collecting the guest's kernel modules", file.string() + " is compressed",
                      "install that kernel's modules uncompressed (INSTALL_MOD_STRIP=1, no MODULE_COMPRESS)");
      const fs::path full = file.is_absolute() ? file : modules / file;
      if (std::find(order.begin(), order.end(), full) == order.end()) order.push_back(full);
    }
  }
  return order;
}

}  // namespace morsel::testvm
