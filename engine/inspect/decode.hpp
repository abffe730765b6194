// SPDX-License-Identifier: GPL-2.0-or-later
//
// One entry in words: its kind, target, rights and every field with its value, from the format's own fields[].
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "engine/format/all.hpp"
#include "engine/inspect/foreign.hpp"

namespace morsel::inspect {

struct DecodedField {
  std::string_view name;
  u64 mask;
  u64 value;  // shifted down to bit 0; for frame and table the address itself
  std::string_view meaning;
  std::string_view source;
};

struct DecodedEntry {
  FormatId format;
  Level level = 0;
  u64 word = 0;
  EntryKind kind = EntryKind::hole;
  PhysAddr address;                  // of a table or leaf
  Rights rights;                     // that this entry alone allows
  u64 reserved_bits = 0;             // bits set that the format does not define here
  u64 token = 0;                     // of a software word
  bool stale = false;                // of a reservation
  bool user = false;                 // foreign: user mode has the rights, too
  std::vector<DecodedField> fields;  // valid for this kind and level, from bit 63 down
};

// A foreign word that is not present is a hole, whose word is not zero.
DecodedEntry decode(const FormatInfo& format, Level level, u64 word, Maker maker = Maker::engine);

std::string_view kind_name(EntryKind kind);
std::string rights_text(Rights rights);           // "rwx", "r--"
std::string one_line(const DecodedEntry& entry);  // "leaf 0x7f3000 rw- A D"

}  // namespace morsel::inspect
