// SPDX-License-Identifier: GPL-2.0-or-later
//
// The initramfs' archive, through libarchive.
#include "testvm/image/archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>

#include "engine/session/failure.hpp"

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

la_ssize_t append(struct archive*, void* bytes, const void* buffer, size_t length)
{
  static_cast<std::string*>(bytes)->append(static_cast<const char*>(buffer), length);
  return static_cast<la_ssize_t>(length);
}

[[noreturn]] void fail(struct archive* writer, const std::string& what)
{
  const char* text = archive_error_string(writer);
  throw Failure(Exit::skipped, "building the guest's initramfs", what + ": " + (text ? text : "unknown error"));
}

}  // namespace

Archive::Archive() : writer_(archive_write_new())
{
  if (!writer_) throw std::bad_alloc();
  archive_write_set_format_cpio_newc(writer_);
  archive_write_set_bytes_per_block(writer_, 0);
  if (archive_write_open(writer_, &bytes_, nullptr, append, nullptr) != ARCHIVE_OK) fail(writer_, "opening");
}

Archive::~Archive() { archive_write_free(writer_); }

void Archive::add_entry(const std::string& destination, unsigned type, unsigned mode, const std::string& content)
{
  std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(), archive_entry_free);
  if (!entry) throw std::bad_alloc();
  archive_entry_set_pathname(entry.get(), destination.c_str() + (destination.starts_with('/') ? 1 : 0));
  archive_entry_set_filetype(entry.get(), type);
  archive_entry_set_perm(entry.get(), mode);
  archive_entry_set_ino64(entry.get(), ++inode_);  // else the writer takes equal numbers for hard links
  archive_entry_set_nlink(entry.get(), type == AE_IFDIR ? 2 : 1);
  archive_entry_set_mtime(entry.get(), 0, 0);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
  if (archive_write_header(writer_, entry.get()) != ARCHIVE_OK) fail(writer_, destination);
  if (!content.empty() && archive_write_data(writer_, content.data(), content.size()) < 0) fail(writer_, destination);
}

void Archive::add_folder(const std::string& destination) { add_entry(destination, AE_IFDIR, 0755, {}); }

void Archive::add_text(const std::string& destination, const std::string& content, unsigned mode)
{
  add_entry(destination, AE_IFREG, mode, content);
}

void Archive::add_file(const ImageFile& file)
{
  std::ifstream stream(file.source, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(stream), {}};
  if (!stream.is_open() || stream.bad())
    throw Failure(Exit::skipped, "reading " + file.source.string() + " for the guest's initramfs",
                  std::strerror(errno));
  add_entry(file.destination, AE_IFREG, file.mode, content);
}

std::string Archive::finish()
{
  if (archive_write_close(writer_) != ARCHIVE_OK) fail(writer_, "closing");
  return std::move(bytes_);
}

}  // namespace morsel::testvm
