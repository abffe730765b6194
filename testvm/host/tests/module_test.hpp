// SPDX-License-Identifier: GPL-2.0-or-later
//
// Tests of the kernel module from inside one VM: morsel-kmod-test (kmod/tests/) and morsel-hardware, what they print,
// and what the kernel has to say afterwards.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "testvm/host/vm_connection.hpp"

namespace morsel::testvm {

class ModuleTest : public testing::Test {
 protected:
  static void start(const VmConfig& config) { machine = VmConnection::start(config); }
  static void TearDownTestSuite() { machine.reset(); }

  static Json request(const std::string& command, const Json& arguments = Json::object());
  // A program that has to succeed. It prints.
  static void run(const std::vector<std::string>& words);
  static void run_suite(const std::string& suite, const std::string& granularity = "1g");

  // What morsel-hardware prints; it has to find no difference but those that are known.
  static std::string hardware_matrix(const std::vector<std::string>& options = {});
  // That docs/hardware.md has each part of it, from its heading up to the next one. If MORSEL_HARDWARE_PARTS names a
  // folder, they are put there instead, for scripts/hardware-page.
  static void expect_parts_of_hardware_page(const std::string& matrix);
  // `option` of morsel-hardware: --oracle or --vtd-oracle. MORSEL_TABLES, if it is set, is the number; MORSEL_SEED the
  // seed.
  static void compare_random_tables(unsigned long tables, const std::string& option = "--oracle");

  // Objects, views and what else is left of them; empty: nothing.
  static std::string what_the_module_holds();
  static std::string alarming_lines();  // of the kernel's log

  static std::unique_ptr<VmConnection> machine;
};

}  // namespace morsel::testvm
