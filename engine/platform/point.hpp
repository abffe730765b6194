// SPDX-License-Identifier: GPL-2.0-or-later
//
// enum class SyncPoint: the named shared accesses of the protocol, from the one table in engine/abi/morsel_points.h.
#pragma once
#include <array>
#include <string_view>

#include "engine/abi/morsel_points.h"
#include "engine/base/types.hpp"

namespace morsel {

enum class SyncPoint : u8 {
#define MORSEL_POINT_ENUMERATOR(number, name, text) name = number,
  MORSEL_POINTS(MORSEL_POINT_ENUMERATOR)
#undef MORSEL_POINT_ENUMERATOR
};

struct PointInfo {
  SyncPoint point;
  std::string_view name;
  std::string_view text;
};

inline constexpr std::array<PointInfo, MORSEL_POINT_COUNT> all_points{{
#define MORSEL_POINT_ROW(number, name, text) {SyncPoint::name, #name, text},
    MORSEL_POINTS(MORSEL_POINT_ROW)
#undef MORSEL_POINT_ROW
}};

constexpr std::string_view point_name(SyncPoint p) { return all_points[static_cast<std::size_t>(p)].name; }

static_assert(
    [] {
      for (std::size_t i = 0; i < all_points.size(); ++i)
        if (static_cast<std::size_t>(all_points[i].point) != i) return false;
      return true;
    }(),
    "points are numbered without gaps, in order");

}  // namespace morsel
