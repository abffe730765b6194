// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/tests/kernel_log.hpp"

#include <regex>
#include <sstream>

namespace morsel::testvm {

std::string alarming_lines(VmConnection& connection)
{
  static const std::regex alarm(
      "BUG|WARNING|Oops|Call Trace|RIP:|Bad page|bad pmd|bad pud|corrupt|refcount_t|INFO: task|stall|"
      "non-zero|morsel: (the|[0-9a-f]{4}:)");
  std::istringstream log(connection.request("kernel-log").at("text").get<std::string>());
  std::string found;
  for (std::string line; std::getline(log, line);)
    if (std::regex_search(line, alarm)) found += line + "\n";
  return found;
}

}  // namespace morsel::testvm
