// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/tests/module_test.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "testvm/host/tests/vm_machine.hpp"

namespace morsel::testvm {

namespace {

constexpr Milliseconds hang_guard{900'000};

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

std::string ModuleTest::vcpu_lacks()
{
  constexpr int none = 77;
  if (machine->info().accelerator != "KVM") return "";
  const Json result = request("run", {{"argv", {"morsel-hardware", "--oracle", "0"}}});
  return result.value("exit_status", -1) == none ? result.value("stderr", "") : "";
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

void ModuleTest::expect_part_of_hardware_page(const std::string& matrix)
{
  const char* const path = std::getenv("MORSEL_HARDWARE_PAGE");
  ASSERT_NE(path, nullptr);
  std::ifstream file(path);
  const std::string page{std::istreambuf_iterator<char>(file), {}}, next_heading = "\n## ";
  const std::string heading = matrix.substr(0, matrix.find('\n'));
  ASSERT_TRUE(heading.starts_with("## ")) << matrix;
  const std::size_t at = page.find(heading), end = page.find(next_heading, at);
  ASSERT_NE(at, std::string::npos) << "docs/hardware.md has no part '" << heading << "'. This is it:\n" << matrix;
  EXPECT_EQ(page.substr(at, end - at), matrix) << "docs/hardware.md: put this in place of the part with this heading";
}

void ModuleTest::compare_random_tables(unsigned long tables)
{
  const char* const asked = std::getenv("MORSEL_TABLES");
  const char* const seed = std::getenv("MORSEL_SEED");
  std::vector<std::string> words{"morsel-hardware", "--oracle", asked ? asked : std::to_string(tables)};
  if (seed) words.insert(words.end(), {"--seed", seed});
  run(words);
}

std::string ModuleTest::what_the_module_holds()
{
  const Json counters = request("counters");
  std::string left;
  for (const char* name : {"objects", "views", "tables", "frames", "attachments", "contexts", "bad_entries"})
    if (counters.at(name) != 0) left += std::string(name) + " " + counters.at(name).dump() + "\n";
  return left;
}

std::string ModuleTest::alarming_lines() { return testvm::alarming_lines(*machine); }

}  // namespace morsel::testvm
