// SPDX-License-Identifier: GPL-2.0-or-later
//
// A file that appears as a whole, or not at all: it is written beside its place under a name of its own, and takes the
// place when it is complete and on the disk. A symbolic link stays one, and what it names is written. What is no
// ordinary file (a device, a pipe, a folder) is refused and stays what it is.
//
// Thread safety: one thread at a time.
#pragma once
#include <cstdio>
#include <memory>
#include <string>

namespace morsel::session {

class OutputFile {
 public:
  // `tried` is for messages. Everything throws Failure.
  OutputFile(const std::string& path, std::string tried);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* bytes, std::size_t count);
  void close();

 private:
  [[noreturn]] void fail(int error) const;
  void open_beside(unsigned mode);

  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  const std::string tried_;
  std::string target_, partial_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace morsel::session
