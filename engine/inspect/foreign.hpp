// SPDX-License-Identifier: GPL-2.0-or-later
//
// Trees that the engine did not make: of a process, of a kernel, of a guest. They differ from the engine's own in what
// their words may say:
//   - a word that hardware takes for not present is the other system's own (a swap entry, a marker), and no software
//     word of ours: it counts as a hole;
//   - entries may be for the supervisor only. Rights are then those of the supervisor, and whether user mode has them,
//     too, is told beside them;
//   - the tree covers all that its root can, and where hardware wants addresses sign-extended, people write them so.
#pragma once
#include <optional>

#include "engine/format/all.hpp"

namespace morsel::inspect {

enum class Maker : u8 { engine, foreign };

// Whether hardware would look at more of the word than the bits that say so.
bool is_present(FormatId format, u64 word);

// The kind of a word; one that is not present is a hole in a foreign tree.
EntryKind kind_of(const FormatInfo& format, Maker maker, u64 word, Level level);

struct SpaceRights {
  Rights rights;     // that this entry allows the supervisor
  bool user = true;  // user mode may use it, too
  bool operator==(const SpaceRights&) const = default;
};
// The format tells user mode from the supervisor.
bool has_user_mode(FormatId format);
SpaceRights space_rights(const FormatInfo& format, u64 word, Level level);

// Bits that change behind one's back or mean nothing to hardware: entries that differ in these alone are alike.
u64 volatile_bits(const FormatInfo& format);

// What the format's root covers, from 0.
Range space_range(const FormatInfo& format);
// From here on, addresses are sign-extended; 0: they are not.
u64 sign_boundary(const FormatInfo& format);
u64 address_of(const FormatInfo& format, u64 offset);
// Empty if hardware would refuse the address.
std::optional<u64> offset_of(const FormatInfo& format, u64 address);

// The root's address in the register that holds it, without what else stands there (PCID, ASID, mode, walk length).
PhysAddr root_in_register(FormatId format, u64 value);

}  // namespace morsel::inspect
