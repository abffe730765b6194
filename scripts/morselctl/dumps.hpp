// SPDX-License-Identifier: GPL-2.0-or-later
//
// Dumps and foreign guests as targets: --dump, --guest, and the commands that go over to one.
#pragma once
#include "engine/session/session.hpp"
#include "scripts/morselctl/machines.hpp"

namespace morsel::ctl {

// Throws Failure if the words do not go together, as --root without --dump or --guest.
void check_look(const Look& look);
std::unique_ptr<session::Target> open_look(const Look& look);
void add_dump_commands(session::CommandTable& table, const Choice& choice);

}  // namespace morsel::ctl
