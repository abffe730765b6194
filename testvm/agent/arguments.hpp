// SPDX-License-Identifier: GPL-2.0-or-later
//
// A request's arguments, read with their types checked: what is missing, of another type or out of range is EINVAL, in
// words that name the argument.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "testvm/agent/wire.hpp"

namespace morsel::agent {

class Arguments {
 public:
  explicit Arguments(const Json& values) : values_(values) {}

  std::string text(const char* key) const;
  std::string text_or(const char* key, const std::string& otherwise) const;
  std::uint64_t number(const char* key) const;
  std::optional<std::uint64_t> number_if(const char* key) const;  // absent: nothing
  std::uint64_t number_or(const char* key, std::uint64_t otherwise) const;
  std::uint32_t small_number(const char* key) const;
  std::uint32_t small_number_or(const char* key, std::uint32_t otherwise) const;
  bool flag(const char* key) const;                       // absent: false
  std::vector<std::string> texts(const char* key) const;  // absent: empty

  // The name of an object: a file name, not a path.
  std::string object_name() const;
  // Rights as letters ("rw") or as the interface's bits.
  std::uint32_t rights(const char* key) const;
  // A word of a fixed list, or its number.
  struct Word {
    const char* name;
    std::uint32_t number;
  };
  std::uint32_t word(const char* key, const std::vector<Word>& words) const;

  bool has(const char* key) const { return values_.contains(key); }
  bool is_number(const char* key) const { return at(key).is_number(); }

 private:
  const Json& at(const char* key) const;

  const Json& values_;
};

}  // namespace morsel::agent
