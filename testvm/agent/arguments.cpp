// SPDX-License-Identifier: GPL-2.0-or-later
//
// Checked arguments.
#include "testvm/agent/arguments.hpp"

#include <climits>
#include <limits>

#include "engine/abi/morsel_ioctl.h"

namespace morsel::agent {
namespace {

[[noreturn]] void invalid(const char* key, const std::string& what)
{
  throw RequestError(EINVAL, "argument '" + std::string(key) + "' " + what);
}

std::string text_of(const Json& value, const char* key)
{
  if (!value.is_string()) invalid(key, "is text");
  auto text = value.get<std::string>();
  if (text.find('\0') != std::string::npos) invalid(key, "contains a NUL");
  return text;
}

}  // namespace

const Json& Arguments::at(const char* key) const
{
  const auto found = values_.find(key);
  if (found == values_.end()) invalid(key, "is missing");
  return *found;
}

std::string Arguments::text(const char* key) const { return text_of(at(key), key); }

std::string Arguments::text_or(const char* key, const std::string& otherwise) const
{
  return has(key) ? text(key) : otherwise;
}

std::uint64_t Arguments::number(const char* key) const
{
  const Json& value = at(key);
  if (!value.is_number_unsigned()) invalid(key, "is a whole number from 0 to 2^64-1");
  return value.get<std::uint64_t>();
}

std::optional<std::uint64_t> Arguments::number_if(const char* key) const
{
  return has(key) ? std::optional(number(key)) : std::nullopt;
}

std::uint64_t Arguments::number_or(const char* key, std::uint64_t otherwise) const
{
  return has(key) ? number(key) : otherwise;
}

std::uint32_t Arguments::small_number(const char* key) const
{
  const std::uint64_t value = number(key);
  if (value > std::numeric_limits<std::uint32_t>::max()) invalid(key, "is at most 2^32-1");
  return static_cast<std::uint32_t>(value);
}

std::uint32_t Arguments::small_number_or(const char* key, std::uint32_t otherwise) const
{
  return has(key) ? small_number(key) : otherwise;
}

bool Arguments::flag(const char* key) const
{
  if (!has(key)) return false;
  if (!at(key).is_boolean()) invalid(key, "is true or false");
  return at(key).get<bool>();
}

std::vector<std::string> Arguments::texts(const char* key) const
{
  std::vector<std::string> list;
  if (!has(key)) return list;
  if (!at(key).is_array()) invalid(key, "is a list of texts");
  for (const Json& value : at(key)) list.push_back(text_of(value, key));
  return list;
}

std::string Arguments::object_name() const
{
  std::string name = text("name");
  if (name.empty() || name == "." || name == "..") invalid("name", "is not a file name");
  if (name.size() > NAME_MAX) invalid("name", "is longer than " + std::to_string(NAME_MAX) + " bytes");
  for (const char c : name)
    if (c == '/' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f) invalid("name", "is not a file name");
  return name;
}

std::uint32_t Arguments::rights(const char* key) const
{
  if (at(key).is_number_unsigned()) return small_number(key);
  std::uint32_t rights = 0;
  for (const char letter : text(key)) {
    const std::uint32_t bit = letter == 'r'   ? MORSEL_READ
                              : letter == 'w' ? MORSEL_WRITE
                              : letter == 'x' ? MORSEL_EXEC
                                              : 0u;
    if (bit == 0 || (rights & bit)) invalid(key, "is made of the letters r, w and x, each at most once");
    rights |= bit;
  }
  return rights;
}

std::uint32_t Arguments::word(const char* key, const std::vector<Word>& words) const
{
  if (at(key).is_number_unsigned()) return small_number(key);
  const std::string given = text(key);
  std::string known;
  for (const Word& word : words) {
    if (given == word.name) return word.number;
    known += std::string(known.empty() ? "" : ", ") + word.name;
  }
  invalid(key, "is one of " + known);
}

}  // namespace morsel::agent
