// SPDX-License-Identifier: GPL-2.0-or-later
#include "scripts/morselctl/machines.hpp"

#include "engine/sim/embedded_target.hpp"

namespace morsel::ctl {

using session::CommandTable;
using session::Exit;
using session::Failure;

std::unique_ptr<session::Target> open_target(const Choice& choice)
{
  if (choice.embedded) return sim::make_embedded_target();
  throw Failure(Exit::usage, "reach the test VM", "no VM is running",
                "Start one with 'morselctl vm up', or use the machine inside this process: morselctl --embedded …");
}

CommandTable commands(const Choice&) { return session::session_commands(); }

}  // namespace morsel::ctl
