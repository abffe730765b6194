// SPDX-License-Identifier: GPL-2.0-or-later
//
// Parsing of operations.
#include "testvm/guest/operation.hpp"

#include <charconv>
#include <limits>

namespace morsel::guest {
namespace {

constexpr std::uint64_t word_bytes = 8;

unsigned shift_of(char suffix)
{
  switch (suffix) {
    case 'K': return 10;
    case 'M': return 20;
    case 'G': return 30;
    default: return 0;
  }
}

bool parse_places(std::string_view text, Operation& operation)
{
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) {
    const auto offset = parse_number(text);
    if (!offset || *offset > std::numeric_limits<std::uint64_t>::max() - word_bytes) return false;
    operation.start = *offset;
    operation.end = *offset + word_bytes;
    return true;
  }
  const auto slash = text.find('/', dash);
  const auto start = parse_number(text.substr(0, dash));
  const auto end = parse_number(text.substr(dash + 1, slash == std::string_view::npos ? slash : slash - dash - 1));
  const auto stride = slash == std::string_view::npos ? 4096 : parse_number(text.substr(slash + 1));
  if (!start || !end || !stride || *start >= *end) return false;
  operation.start = *start;
  operation.end = *end;
  operation.stride = *stride;
  return true;
}

std::optional<Verb> parse_verb(std::string_view text)
{
  if (text == "read") return Verb::read;
  if (text == "write") return Verb::write;
  if (text == "check") return Verb::check;
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text)
{
  if (text.empty()) return std::nullopt;
  const unsigned shift = shift_of(text.back());
  if (shift) text.remove_suffix(1);
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, hexadecimal ? 16 : 10);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (number > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
  return number << shift;
}

std::optional<Operation> parse_operation(std::string_view text, std::uint64_t bytes, std::string& problem)
{
  const std::string given = "'" + std::string(text) + "'";
  const auto colon = text.find(':');
  const auto verb = parse_verb(text.substr(0, colon));
  if (!verb || colon == std::string_view::npos) {
    problem = given + " does not begin with read:, write: or check:";
    return std::nullopt;
  }
  Operation operation{.verb = *verb, .value = std::nullopt};
  const auto equals = text.find('=', colon);
  if ((equals != std::string_view::npos) != (*verb != Verb::read)) {
    problem = given + (*verb == Verb::read ? " reads, and takes no value" : " needs =VALUE");
    return std::nullopt;
  }
  const auto places = text.substr(colon + 1, equals == std::string_view::npos ? equals : equals - colon - 1);
  if (!parse_places(places, operation)) {
    problem = given + " names no places: OFFSET, START-END or START-END/STRIDE";
    return std::nullopt;
  }
  if (operation.start % word_bytes || operation.stride % word_bytes || operation.stride == 0) {
    problem = given + ": places are multiples of 8 bytes";
    return std::nullopt;
  }
  if (operation.start > bytes || operation.end > bytes) {
    problem = given + " reaches beyond the mapping of " + std::to_string(bytes) + " bytes";
    return std::nullopt;
  }
  if (equals != std::string_view::npos && text.substr(equals + 1) != "offset") {
    operation.value = parse_number(text.substr(equals + 1));
    if (!operation.value) {
      problem = given + ": the value is a number, or the word offset";
      return std::nullopt;
    }
  }
  return operation;
}

}  // namespace morsel::guest
