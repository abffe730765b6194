// SPDX-License-Identifier: GPL-2.0-or-later
//
// Saved journals: docs/journal.md describes the format. A file is hostile input: what does not hold together is refused
// with a Failure that says what is wrong and where.
//
// Thread safety: one thread at a time for a chronicle.
#pragma once
#include <span>
#include <string>

#include "engine/session/recorder.hpp"

namespace morsel::session {

inline constexpr u32 journal_file_version = 1;

struct JournalFileHeader {
  char magic[8];
  u32 version;
  u32 record_bytes;
  u64 text_bytes;  // of the description in JSON, without the zeros that fill it up to a multiple of 8
  u64 pages;
  u64 changes;
  u64 records;
  u64 reserved[2];  // zero
};
static_assert(sizeof(JournalFileHeader) == 64);

// A page of the image before the first record: its address, then its words.
struct JournalFilePage {
  u64 address;
  u64 words[TableImage::words_per_page];
};
// What the record with this number (from 0) changed.
struct JournalFileChange {
  u64 record;
  u64 address;
  u64 before;
  u64 after;
};

// The history's position is the same afterwards. `name` is for messages.
void save_journal(Chronicle& chronicle, const std::string& path);
Chronicle load_journal(const std::string& path);
// The same from the bytes of a file.
Chronicle read_journal(std::span<const std::byte> bytes, const std::string& name);

}  // namespace morsel::session
