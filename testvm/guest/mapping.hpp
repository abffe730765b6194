// SPDX-License-Identifier: GPL-2.0-or-later
//
// A shared mapping of a file, placed so that whole subtrees of an object can be attached to it: at a multiple of 1 GiB,
// if the file is that long, else of 2 MiB; and long enough to cover its last slot.
#pragma once
#include <cstdint>
#include <string>

namespace morsel::guest {

enum class Right { read, read_write };

class Mapping {
 public:
  // view: 0 is the primary, else the number of an AMD64 view. Throws std::system_error.
  Mapping(const std::string& path, std::uint32_t view, Right right);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::uint64_t bytes() const { return bytes_; }                // of the file
  std::uint64_t mapped_bytes() const { return mapped_bytes_; }  // a multiple of 2 MiB
  volatile std::uint64_t& word(std::uint64_t offset) const;

 private:
  unsigned char* place(std::uint64_t alignment);

  int fd_ = -1;
  std::uint64_t bytes_ = 0, mapped_bytes_ = 0;
  unsigned char* base_ = nullptr;
};

}  // namespace morsel::guest
