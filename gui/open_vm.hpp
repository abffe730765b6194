// SPDX-License-Identifier: GPL-2.0-or-later
//
// How the window gets at a running test VM; the one place in gui/ that knows of testvm/.
#pragma once
#include "gui/models/live_source.hpp"

namespace morsel::gui {

// Empty: the VM that morselctl takes when it is given no name.
TargetFactory openVm(const QString& name);

}  // namespace morsel::gui
