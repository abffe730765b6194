// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/inspect/decode.hpp"

#include <algorithm>
#include <cstdio>

namespace morsel::inspect {

namespace {

u64 defined(const FormatInfo& format, Level level, FieldShape shape)
{
  u64 mask = 0;
  for (const Field& f : format.fields)
    if ((f.levels >> level & 1) && (f.shapes & shape)) mask |= f.mask;
  return mask;
}

// The shape that a malformed word was meant to have: the one whose reserved bits, once cleared, leave an entry of it.
FieldShape shape_of(const FormatInfo& format, Level level, u64 word)
{
  switch (format.kind(word, level)) {
    case EntryKind::leaf: return in_leaf;
    case EntryKind::table: return in_table;
    case EntryKind::reserved:
    case EntryKind::moving:
    case EntryKind::hole: return in_software;
    case EntryKind::malformed: break;
  }
  if (format.kind(word & defined(format, level, in_leaf), level) == EntryKind::leaf) return in_leaf;
  if (format.kind(word & defined(format, level, in_table), level) == EntryKind::table) return in_table;
  return level == 0 ? in_leaf : in_table;
}

bool is_address(const Field& f) { return f.name == "frame" || f.name == "table"; }

}  // namespace

DecodedEntry decode(const FormatInfo& format, Level level, u64 word, Maker maker)
{
  DecodedEntry d{format.id, level, word, kind_of(format, maker, word, level), {}, {}, 0, 0, false, false, {}};
  const FieldShape shape = shape_of(format, level, word);
  if (d.kind == EntryKind::leaf || d.kind == EntryKind::table) {
    d.address = format.address(word, level);
    d.rights = format.access(word, level);
    if (maker == Maker::foreign) {
      const SpaceRights allowed = space_rights(format, word, level);
      d.rights = allowed.rights;
      d.user = allowed.user && has_user_mode(format.id);
    }
  }
  if (d.kind == EntryKind::malformed) d.reserved_bits = word & ~defined(format, level, shape);
  if (d.kind == EntryKind::reserved) {
    d.token = software::reserved_token(word);
    d.stale = software::is_stale(word);
  }
  if (d.kind == EntryKind::moving) {
    const software::Moving m = software::read_moving(word);
    d.token = m.token;
    d.address = m.frame;
    d.rights = m.rights;
  }
  if (d.kind == EntryKind::hole) return d;
  for (const Field& f : format.fields)
    if ((f.levels >> level & 1) && (f.shapes & shape))
      d.fields.push_back({f.name, f.mask,
                          is_address(f) ? (word & f.mask) << format.address_shift_lg2 : field_value(word, f.mask),
                          f.meaning, f.source});
  if (maker == Maker::foreign)
    for (DecodedField& f : d.fields)
      if (f.source.find("morselscope") != std::string_view::npos) {
        f.name = "AVL";
        f.meaning = "available to software";
      }
  std::sort(d.fields.begin(), d.fields.end(), [](const auto& a, const auto& b) { return a.mask > b.mask; });
  return d;
}

std::string_view kind_name(EntryKind kind)
{
  switch (kind) {
    case EntryKind::hole: return "hole";
    case EntryKind::table: return "table";
    case EntryKind::leaf: return "leaf";
    case EntryKind::reserved: return "reserved";
    case EntryKind::moving: return "moving";
    case EntryKind::malformed: return "malformed";
  }
  return "unknown";
}

std::string rights_text(Rights rights)
{
  return {rights.read() ? 'r' : '-', rights.write() ? 'w' : '-', rights.exec() ? 'x' : '-'};
}

std::string one_line(const DecodedEntry& entry)
{
  const FormatInfo& format = *find_format(entry.format);
  char text[96] = "";
  switch (entry.kind) {
    case EntryKind::hole:
      if (entry.word == 0) return "hole";
      std::snprintf(text, sizeof text, "absent 0x%llx", static_cast<unsigned long long>(entry.word));
      break;
    case EntryKind::table:
    case EntryKind::leaf:
      std::snprintf(text, sizeof text, "%s 0x%llx %s%s%s%s", kind_name(entry.kind).data(),
                    static_cast<unsigned long long>(entry.address.value), rights_text(entry.rights).c_str(),
                    entry.user ? " U" : "", entry.word & format.accessed_bit ? " A" : "",
                    entry.kind == EntryKind::leaf && (entry.word & format.dirty_bit) ? " D" : "");
      break;
    case EntryKind::reserved:
      std::snprintf(text, sizeof text, "reserved, token %llu%s", static_cast<unsigned long long>(entry.token),
                    entry.stale ? ", stale" : "");
      break;
    case EntryKind::moving:
      std::snprintf(text, sizeof text, "moving 0x%llx %s, token %llu",
                    static_cast<unsigned long long>(entry.address.value), rights_text(entry.rights).c_str(),
                    static_cast<unsigned long long>(entry.token));
      break;
    case EntryKind::malformed:
      if (entry.reserved_bits == 0) return "malformed: a combination that hardware refuses, or that no tree here uses";
      std::snprintf(text, sizeof text, "malformed, reserved bits 0x%llx",
                    static_cast<unsigned long long>(entry.reserved_bits));
      break;
  }
  return text;
}

}  // namespace morsel::inspect
