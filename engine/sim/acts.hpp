// SPDX-License-Identifier: GPL-2.0-or-later
//
// What an actor under exploration does. This file and its table in acts.cpp are the one place where an operation is
// made known to exploration: its name in a scenario's text, the arguments that it takes, what it promises, and how it
// is performed.
//
// As text: `name:argument,...`, in any order: pages `p3`, `p0-7`, 2-MiB blocks `m0`, `m0-1`, 1-GiB blocks `g0`, or
// `all`; a tree `v1` (`v0`: the primary); rights `r`, `w`, `rw`, `rwx`; a leaf size `4K`, `2M`, `1G`; a format's name.
#pragma once
#include <string>
#include <string_view>

#include "engine/morsel/all.hpp"

namespace morsel::sim {

class ExploredPlatform;
class ExploredWorld;

struct Act {
  enum class Kind : u8 {
    fill,
    write,
    unmap,
    protect,
    populate,
    invalidate,
    add_view,
    drop_view,
    resize,
    split,
    merge,
    migrate,
    break_copy,
    freeze,
    clone,
    harvest,
    read,
  };
  Kind kind = Kind::fill;
  Range range;  // fill, write, read: its first page; resize: the object ends where it begins
  TreeId view = 1;
  Rights rights = right_read;       // fill: wanted; protect, populate: given
  Level leaf_level = 0;             // populate, split, merge
  FormatId format = FormatId::npt;  // add_view
};

// What an operation means for the primary, and what must hold once it has returned and was not refused (I2).
enum class Effect : u8 {
  none,         // leaves the primary alone
  changes,      // changes it, and promises nothing about what walkers can use
  copies,       // no walker can use the base's frame that stood there when it began
  removes,      // no walker can use the frames that stood in its range when it began
  sets_rights,  // no walker can do with them what `rights` forbids
};

// Where an act is performed. It runs on a stack that is copied when a state is saved: nothing that owns memory (a
// vector, a string, a std::function) may live there across a point. And it touches what is shared only behind a point.
struct Stage {
  ExploredPlatform& p;
  ExploredWorld& world;
  Object& object;
};

struct ActInfo {
  Act::Kind kind;
  std::string_view name;
  std::string_view arguments;  // a letter for each: p pages, v tree, r rights, l leaf size, f format
  Effect effect;
  Status (*perform)(Stage& stage, const Act& act);
};

const ActInfo& info(Act::Kind kind);
// Under way, views may allow more than the primary for a while. Of a split that is so only where hardware walks the
// primary: there is a hole between the leaf and the table.
inline bool changes_primary(const Act& act, bool primary_walked)
{
  return info(act.kind).effect != Effect::none || (act.kind == Act::Kind::split && primary_walked);
}
// The part of the object that the operation is about.
Range range_of(const Act& act);
Status perform(Stage& stage, const Act& act);

// Throws session::Failure: what is wrong with the word, and what it may be.
Act parse_act(std::string_view word);
std::string to_text(const Act& act);
std::string to_text(Range range);  // of pages

}  // namespace morsel::sim
