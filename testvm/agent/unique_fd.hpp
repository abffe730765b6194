// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include "engine/session/unique_fd.hpp"

namespace morsel::agent {

using session::UniqueFd;

}  // namespace morsel::agent
