// SPDX-License-Identifier: GPL-2.0-or-later
//
// A cpio archive in the form that Linux unpacks as its initramfs ("newc", Documentation/driver-api/early-userspace/
// buffer-format.rst), made in memory: an initramfs lives in memory anyway.
#pragma once
#include <string>
#include <vector>

#include "testvm/image/image.hpp"

struct archive;  // libarchive's

namespace morsel::testvm {

// Entries come in the order given, so folders must come before what is in them. Owners are root, times are zero: the
// bytes depend on names, modes and contents only.
class Archive {
 public:
  Archive();
  ~Archive();
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  void add_folder(const std::string& destination);
  void add_text(const std::string& destination, const std::string& content, unsigned mode);
  void add_file(const ImageFile& file);
  // Closes the archive and returns its bytes.
  std::string finish();

 private:
  void add_entry(const std::string& destination, unsigned type, unsigned mode, const std::string& content);

  ::archive* writer_;
  std::string bytes_;
  long inode_ = 0;
};

}  // namespace morsel::testvm
