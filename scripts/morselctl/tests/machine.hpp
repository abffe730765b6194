// SPDX-License-Identifier: GPL-2.0-or-later
//
// morselctl on a VM of a name, and what holds on any VM.
#pragma once
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "scripts/morselctl/tests/program.hpp"

namespace morsel::ctl {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

class MachineUnderTest {
 public:
  explicit MachineUnderTest(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  Ended run(Words words) const
  {
    words.insert(words.begin(), {"--vm", name_});
    return morselctl(std::move(words));
  }
  Json facts(Words words) const
  {
    words.insert(words.begin(), "--json");
    const Ended e = run(words);
    const Json json = Json::parse(e.output, nullptr, false);
    EXPECT_TRUE(json.is_object()) << words.back() << e.output << e.errors;
    return json.is_object() ? json : Json::object();
  }
  // As `vm list` shows it; null if it does not.
  Json listed() const
  {
    const Json list = facts({"vm", "list"});
    for (const Json& vm : list.at("vms"))
      if (vm.at("name") == name_) return vm;
    return {};
  }

 private:
  std::string name_;
};

inline void expect_that_a_process_sees_what_a_view_wrote(const MachineUnderTest& machine)
{
  machine.facts({"object", "create", "b", "4M"});
  machine.facts({"view", "add", "b", "ept"});
  EXPECT_EQ(machine.facts({"access", "b", "ept", "0x3000", "write", "--value", "77"}).at("outcome"), "populated");
  const Ended e = machine.run({"run", "morsel-touch", "/morsel/b", "check:0x3000=77", "write:0x4000=78"});
  EXPECT_EQ(e.status, 0) << e.output << e.errors;
  EXPECT_EQ(machine.facts({"access", "b", "ept", "0x4000", "read"}).at("value"), "0x4e");
  machine.facts({"object", "destroy", "b"});
}

}  // namespace morsel::ctl
