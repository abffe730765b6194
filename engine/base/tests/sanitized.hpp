// SPDX-License-Identifier: GPL-2.0-or-later
//
// Sanitizers make a test several times slower and look at how the code behaves, not at what it answers: under them, a
// test of very many cases may take a part of these. The build for development takes all.
#pragma once

namespace morsel {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace morsel
