// SPDX-License-Identifier: GPL-2.0-or-later
//
// The guest's memory, written from outside: a hostile guest may put there whatever it likes.
#pragma once
#include <filesystem>
#include <fstream>

#include "engine/base/types.hpp"

namespace morsel::testvm {

class GuestWords {
 public:
  // The file that is the guest's RAM.
  explicit GuestWords(const std::filesystem::path& ram) : file_(ram, std::ios::binary | std::ios::in | std::ios::out) {}

  bool is_open() const { return file_.is_open(); }
  u64 read(u64 address)
  {
    u64 word = 0;
    file_.seekg(static_cast<std::streamoff>(address));
    file_.read(reinterpret_cast<char*>(&word), sizeof word);
    return word;
  }
  void write(u64 address, u64 word)
  {
    file_.seekp(static_cast<std::streamoff>(address));
    file_.write(reinterpret_cast<const char*>(&word), sizeof word).flush();
  }

 private:
  std::fstream file_;
};

}  // namespace morsel::testvm
