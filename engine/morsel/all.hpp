// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine's operations in one place.
#pragma once
#include "engine/morsel/attach.hpp"
#include "engine/morsel/clone.hpp"
#include "engine/morsel/fill.hpp"
#include "engine/morsel/harvest.hpp"
#include "engine/morsel/merge.hpp"
#include "engine/morsel/migrate.hpp"
#include "engine/morsel/object.hpp"
#include "engine/morsel/primary.hpp"
#include "engine/morsel/query.hpp"
#include "engine/morsel/reclaim.hpp"
#include "engine/morsel/send.hpp"
#include "engine/morsel/view.hpp"
