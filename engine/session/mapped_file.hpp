// SPDX-License-Identifier: GPL-2.0-or-later
//
// A file's bytes, mapped read-only and shared: what changes in the file is seen, and nothing is copied. Whoever makes
// the file shorter meanwhile ends the reader (SIGBUS).
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "engine/session/failure.hpp"

namespace morsel::session {

class MappedFile {
 public:
  // `tried` and `code` are for the Failure if that cannot be done.
  MappedFile(const std::string& path, const std::string& tried, Exit code);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace morsel::session
