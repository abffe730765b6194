// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/history_image.hpp"

#include <sys/mman.h>

namespace morsel::session {

std::vector<Extent> extents_of(const inspect::PhysicalMemory& memory)
{
  std::vector<Extent> extents;
  for (const inspect::MemorySegment& s : memory.segments()) extents.push_back({s.start, s.bytes});
  return extents;
}

TableImage::TableImage(std::vector<Extent> extents) : extents_(std::move(extents))
{
  for (const Extent& e : extents_) bytes_ += e.bytes;
  const std::size_t reserved = bytes_ == 0 ? page_bytes : bytes_;
  void* const at =
      ::mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    throw Failure(Exit::skipped, "keep a history of the tables",
                  std::to_string(bytes_) + " bytes of address space cannot be reserved",
                  "A limit (ulimit -v) or vm.overcommit_memory=2 forbids it.");
  words_ = static_cast<u64*>(at);
  used_.resize(bytes_ / page_bytes);
  std::vector<inspect::MemorySegment> segments;
  u64 done = 0;
  for (const Extent& e : extents_) {
    segments.push_back({e.start, e.bytes, static_cast<const std::byte*>(at) + done});
    done += e.bytes;
  }
  memory_ = inspect::PhysicalMemory(std::move(segments));
}

TableImage::~TableImage() { ::munmap(words_, bytes_ == 0 ? page_bytes : bytes_); }

std::optional<TableImage::Index> TableImage::index(PhysAddr at, u64 count) const
{
  const u64* const word = memory_.words(at, count);
  if (!word) return {};
  return static_cast<Index>(word - words_);
}

PhysAddr TableImage::address(Index index) const
{
  u64 byte = index * sizeof(u64);
  for (const Extent& e : extents_) {
    if (byte < e.bytes) return {e.start + byte};
    byte -= e.bytes;
  }
  return {};
}

std::vector<PhysAddr> TableImage::used_pages() const
{
  std::vector<PhysAddr> pages;
  for (std::size_t page = 0; page < used_.size(); ++page)
    if (used_[page]) pages.push_back(address(page * words_per_page));
  return pages;
}

}  // namespace morsel::session
