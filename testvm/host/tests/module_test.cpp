// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/tests/module_test.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "testvm/host/tests/vm_machine.hpp"

namespace morsel::testvm {

namespace {

constexpr Milliseconds hang_guard{900'000};
constexpr const char* next_heading = "\n## ";

std::string whole_file(const std::filesystem::path& path)
{
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// From each heading up to the next one.
std::vector<std::string> parts_of(const std::string& matrix)
{
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < matrix.size();) {
    const std::size_t end = std::min(matrix.find(next_heading, at), matrix.size());
    parts.push_back(matrix.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

}  // namespace

std::unique_ptr<VmConnection> ModuleTest::machine;

Json ModuleTest::request(const std::string& command, const Json& arguments)
{
  return machine->request(command, arguments, hang_guard);
}

void ModuleTest::run(const std::vector<std::string>& words)
{
  Json environment = Json::array();
  for (const std::string name : {"MORSEL_STRESS", "MORSEL_SEED"})  // the length of the stress, what is random
    if (const char* value = std::getenv(name.c_str())) environment.push_back(name + "=" + value);
  const Json result = request("run", {{"argv", words}, {"env", environment}});
  const std::string output = result.value("stdout", "") + result.value("stderr", "");
  EXPECT_EQ(result.value("exit_status", -1), 0) << output << result.dump();
  std::printf("%s", output.c_str());
}

void ModuleTest::run_suite(const std::string& suite, const std::string& granularity)
{
  run({"sh", "-c", "echo " + granularity + " > /sys/module/morsel/parameters/granularity"});
  run({"morsel-kmod-test", suite});
}

std::string ModuleTest::hardware_matrix(const std::vector<std::string>& options)
{
  std::vector<std::string> words{"morsel-hardware"};
  words.insert(words.end(), options.begin(), options.end());
  const Json result = request("run", {{"argv", words}});
  std::string matrix = result.value("stdout", "");
  EXPECT_EQ(result.value("exit_status", -1), 0) << matrix << result.value("stderr", "");
  return matrix;
}

void ModuleTest::expect_parts_of_hardware_page(const std::string& matrix)
{
  const char* const page = std::getenv("MORSEL_HARDWARE_PAGE");
  const char* const folder = std::getenv("MORSEL_HARDWARE_PARTS");
  ASSERT_NE(page, nullptr);
  ASSERT_TRUE(matrix.starts_with("## ")) << matrix;
  const std::string before = whole_file(page);
  for (const std::string& part : parts_of(matrix)) {
    const std::string heading = part.substr(0, part.find('\n'));
    if (folder) {
      std::ofstream(std::filesystem::path(folder) / heading.substr(3)) << part;
      continue;
    }
    const std::size_t at = before.find(heading + "\n");
    ASSERT_NE(at, std::string::npos) << "docs/hardware.md has no part '" << heading << "': scripts/hardware-page";
    EXPECT_EQ(before.substr(at, before.find(next_heading, at) - at), part) << "scripts/hardware-page makes it anew";
  }
}

void ModuleTest::compare_random_tables(unsigned long tables, const std::string& option)
{
  const char* const asked = std::getenv("MORSEL_TABLES");
  const char* const seed = std::getenv("MORSEL_SEED");
  std::vector<std::string> words{"morsel-hardware", option, asked ? asked : std::to_string(tables)};
  if (seed) words.insert(words.end(), {"--seed", seed});
  run(words);
}

std::string ModuleTest::what_the_module_holds()
{
  const Json counters = request("counters");
  std::string left;
  for (const char* name :
       {"objects", "views", "tables", "frames", "attachments", "contexts", "bad_entries", "own_pages"})
    if (counters.at(name) != 0) left += std::string(name) + " " + counters.at(name).dump() + "\n";
  return left;
}

std::string ModuleTest::alarming_lines() { return testvm::alarming_lines(*machine); }

}  // namespace morsel::testvm
