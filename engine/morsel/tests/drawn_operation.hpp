// SPDX-License-Identifier: GPL-2.0-or-later
//
// One operation on an object, as RapidCheck draws it.
#pragma once
#include <gtest/gtest.h>

#include <ostream>

#include "engine/base/types.hpp"
// Behind gtest.h, which it does not include.
#include <rapidcheck/gtest.h>

namespace morsel::testing_support {

inline constexpr u32 pages = 3 * 512;  // of the largest object
inline constexpr std::size_t most_views = 9;
inline constexpr std::size_t most_clones = 3;

struct Op {
  enum class Kind : u8 {
    populate,
    populate_large,
    unmap,
    protect,
    split,
    merge,
    migrate,
    fill,
    write,
    harvest,
    invalidate,
    resize,
    add_view,
    drop_view,
    clone,
    break_copy,
    send,
  };
  Kind kind = Kind::populate;
  u32 first = 0, count = 1;  // pages
  u8 rights = 0;             // 1: write, 2: exec, besides read
  u8 which = 0;              // view or format
  u8 failing = 0;            // the how manieth allocation finds no memory; 0: none
};

inline constexpr const char* names[] = {"populate", "populate_large", "unmap",    "protect",   "split", "merge",
                                 "migrate",  "fill",           "write",    "harvest",   "invalidate",
                                 "resize",   "add_view",       "drop_view", "clone",    "break_copy", "send"};

inline void showValue(const Op& op, std::ostream& to)  // NOLINT(readability-identifier-naming): RapidCheck looks for it
{
  to << names[static_cast<u8>(op.kind)] << " p" << op.first << "+" << op.count << " rights " << int{op.rights}
     << " which " << int{op.which} << " failing " << int{op.failing};
}

}  // namespace morsel::testing_support

template <>
struct rc::Arbitrary<morsel::testing_support::Op> {
  static Gen<morsel::testing_support::Op> arbitrary()
  {
    using morsel::u32, morsel::u8, morsel::testing_support::Op;
    constexpr u32 pages = morsel::testing_support::pages;
    using Kind = Op::Kind;
    return gen::build<Op>(
        gen::set(&Op::kind, gen::weightedElement<Kind>(
                                {{4, Kind::populate}, {2, Kind::populate_large}, {2, Kind::unmap}, {2, Kind::protect},
                                 {1, Kind::split}, {1, Kind::merge}, {2, Kind::migrate}, {6, Kind::fill},
                                 {4, Kind::write}, {2, Kind::harvest}, {1, Kind::invalidate}, {1, Kind::resize},
                                 {1, Kind::add_view}, {1, Kind::drop_view}, {1, Kind::clone}, {2, Kind::break_copy},
                                 {1, Kind::send}})),
        gen::set(&Op::first,
                 gen::weightedOneOf<u32>({{1, gen::inRange<u32>(0, 16)}, {2, gen::inRange<u32>(0, pages)}})),
        gen::set(&Op::count,
                 gen::weightedOneOf<u32>({{3, gen::inRange<u32>(1, 9)}, {1, gen::inRange<u32>(1, pages + 1)}})),
        gen::set(&Op::rights, gen::inRange<u8>(0, 4)), gen::set(&Op::which, gen::inRange<u8>(0, 64)),
        gen::set(&Op::failing, gen::weightedOneOf<u8>({{2, gen::just<u8>(0)}, {1, gen::inRange<u8>(1, 6)}})));
  }
};
