// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine's operations in one place.
#pragma once
#include "engine/morsel/fill.hpp"
#include "engine/morsel/object.hpp"
#include "engine/morsel/operation.hpp"
#include "engine/morsel/primary.hpp"
#include "engine/morsel/reclaim.hpp"
#include "engine/morsel/view.hpp"
