// SPDX-License-Identifier: GPL-2.0-or-later
//
// Expected<T>: a value or an Error, without exceptions (std::expected is C++23). T must be trivially destructible,
// so that the kernel build needs no unwinding and no hidden destructors.
#pragma once
#include <type_traits>

#include "engine/base/types.hpp"

namespace morsel {

// The names are those of errno where one fits; engine/abi/engine_abi.h maps them one to one.
enum class Error : u8 {
  none,            // never stored in an Expected
  no_memory,       // an allocation failed; the object is consistent, and the operation may be repeated
  out_of_range,    // the range leaves the object
  unaligned,       // the range or size is not a multiple of the granule asked for
  invalid,         // an argument has no meaning (unknown format, empty rights, rights the format cannot express)
  needs_populate,  // a fill met a hole in the primary: populate, then fill again
  access_denied,   // the primary maps the page, but without the right asked for
  busy,            // the operation would have to wait for another one
  exists,          // that already is
  not_found,       // no such thing
  corrupt,         // a table holds a word that this engine never writes
  too_many,        // a fixed limit is reached (views per object)
  frozen,          // the object is the base of clones: it does not change any more
  interrupted,     // who waited was killed; what was done so far is consistent
};

constexpr const char* error_name(Error e)
{
  switch (e) {
    case Error::none: return "none";
    case Error::no_memory: return "no memory";
    case Error::out_of_range: return "out of range";
    case Error::unaligned: return "unaligned";
    case Error::invalid: return "invalid argument";
    case Error::needs_populate: return "needs populate";
    case Error::access_denied: return "access denied";
    case Error::busy: return "busy";
    case Error::exists: return "exists already";
    case Error::not_found: return "not found";
    case Error::corrupt: return "corrupt table";
    case Error::too_many: return "too many";
    case Error::frozen: return "frozen: it is the base of clones";
    case Error::interrupted: return "interrupted";
  }
  return "unknown error";
}

template <class T>
class [[nodiscard]] Expected {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  constexpr Expected(const T& value) : value_(value) {}
  constexpr Expected(Error error) : error_(error) {}
  constexpr explicit operator bool() const { return error_ == Error::none; }
  constexpr Error error() const { return error_; }
  constexpr const T& operator*() const { return value_; }
  constexpr T& operator*() { return value_; }
  constexpr const T* operator->() const { return &value_; }

 private:
  T value_{};
  Error error_ = Error::none;
};

template <>
class [[nodiscard]] Expected<void> {
 public:
  constexpr Expected() = default;
  constexpr Expected(Error error) : error_(error) {}
  constexpr explicit operator bool() const { return error_ == Error::none; }
  constexpr Error error() const { return error_; }

 private:
  Error error_ = Error::none;
};

using Status = Expected<void>;

}  // namespace morsel
