// SPDX-License-Identifier: GPL-2.0-or-later
//
// An embedded machine that says that it has a guest. Its one program, morsel-touch, writes words into objects; what it
// and all others end with is the test's choice.
#pragma once
#include <string>
#include <vector>

#include "engine/session/tests/forwarding_target.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {

class GuestTarget : public ForwardingTarget {
 public:
  explicit GuestTarget(ProgramResult end = {0, {}, {}, {}})
      : ForwardingTarget(sim::make_embedded_target()), end_(std::move(end))
  {
  }

  TargetInfo info() const override
  {
    TargetInfo info = ForwardingTarget::info();
    info.kind = "vm";
    return info;
  }
  // morsel-touch /morsel/NAME write:OFFSET=VALUE…
  ProgramResult run_program(const std::vector<std::string>& argv) override
  {
    if (argv[0] == "morsel-touch" && end_.exit_status == 0)
      for (std::size_t n = 2; n < argv.size(); ++n) touch(argv[1].substr(argv[1].rfind('/') + 1), argv[n]);
    return end_;
  }
  std::string kernel_log() override { return log; }

  std::string log;

 private:
  void touch(const std::string& object, const std::string& word)
  {
    const std::size_t colon = word.find(':'), equals = word.find('=');
    const u64 offset = std::stoull(word.substr(colon + 1, equals - colon - 1), nullptr, 0);
    access({object, primary_tree, offset, right_write, std::stoull(word.substr(equals + 1), nullptr, 0)});
  }

  ProgramResult end_;
};

}  // namespace morsel::session
