// SPDX-License-Identifier: GPL-2.0-or-later
//
// What morsel-touch is told to do with a mapping, in words:
//
//   read:PLACES            reads one 64-bit word at each place
//   write:PLACES=VALUE     writes one
//   check:PLACES=VALUE     reads one and compares
//
// PLACES is an offset, or START-END (half-open) with a word every 4096 bytes, or START-END/STRIDE. Numbers are decimal
// or 0x…, with K, M or G (binary) behind. VALUE is a number, or the word "offset": each place's own offset.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace morsel::guest {

enum class Verb { read, write, check };

struct Operation {
  Verb verb = Verb::read;
  std::uint64_t start = 0, end = 0, stride = 4096;  // bytes; end is excluded
  std::optional<std::uint64_t> value;               // nothing: the place's offset

  std::uint64_t value_at(std::uint64_t offset) const { return value.value_or(offset); }
};

std::optional<std::uint64_t> parse_number(std::string_view text);

// Nothing, and `problem` in words, if it is not an operation on aligned words below `bytes`.
std::optional<Operation> parse_operation(std::string_view text, std::uint64_t bytes, std::string& problem);

}  // namespace morsel::guest
