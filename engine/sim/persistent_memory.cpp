// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/persistent_memory.hpp"

#include <algorithm>

namespace morsel::sim {

namespace {

constexpr u64 never_written = 0x5a5a'5a5a'5a5a'5a5a;  // malformed in the primary's format
constexpr u64 words_per_line = line_bytes / sizeof(u64);

}  // namespace

PersistentMemory::PersistentMemory(u64 pages)
    : now_(pages * words_per_page, never_written), kept_(now_), used_(pages), is_touched_(pages), evicted_(now_)
{
}

void PersistentMemory::touch(u64 page)
{
  if (is_touched_[page]) return;
  is_touched_[page] = true;
  touched_.push_back(page);
}

bool PersistentMemory::in_use(u64 first, u64 count) const
{
  return std::any_of(used_.begin() + static_cast<std::ptrdiff_t>(first),
                     used_.begin() + static_cast<std::ptrdiff_t>(first + count), [](bool used) { return used; });
}

// Zeroed in the cache; what persistent memory holds there stays as it was.
Expected<PhysAddr> PersistentMemory::allocate(u32 order)
{
  const u64 count = u64{1} << order;
  for (u64 first = 0; first + count <= used_.size(); first += count) {
    if (in_use(first, count)) continue;
    for (u64 page = first; page < first + count; ++page) used_[page] = true;
    used_pages_ += count;
    for (u64 page = first; page < first + count; ++page) touch(page);
    u64* const start = now_.data() + first * words_per_page;
    for (u64* word = start; word < start + count * words_per_page; ++word) {
      lines_.erase(line_of(index_of(word)));
      written_back_.erase(line_of(index_of(word)));
      if (script_) undecided_[line_of(index_of(word))] = false;  // what stood there is never read
      *word = 0;
    }
    return base + first * page_bytes;
  }
  return Error::no_memory;
}

void PersistentMemory::release(PhysAddr at, u32 order)
{
  const u64 first = (at.value - base.value) / page_bytes;
  for (u64 page = first; page < first + (u64{1} << order); ++page) used_[page] = false;
  used_pages_ -= u64{1} << order;
}

bool PersistentMemory::adopt(PhysAddr at, u32 order)
{
  const u64 count = u64{1} << order;
  const u64 first = (at.value - base.value) / page_bytes;
  if (at.value < base.value || first + count > used_.size() || in_use(first, count)) return false;
  for (u64 page = first; page < first + count; ++page) used_[page] = true;
  used_pages_ += count;
  return true;
}

u64* PersistentMemory::words(PhysAddr at)
{
  u64* const start = now_.data() + (at.value - base.value) / sizeof(u64);
  touch((at.value - base.value) / page_bytes);
  if (script_)
    for (u64 line = line_of(index_of(start)); line < line_of(index_of(start)) + page_bytes / line_bytes; ++line)
      decide(line);
  return start;
}

u64* PersistentMemory::content(PhysAddr frame)
{
  const u64 word = (frame.value - base.value) / sizeof(u64);
  touch(word / words_per_page);
  return now_.data() + word;
}

u64 PersistentMemory::load(const u64* word)
{
  if (script_) decide(line_of(index_of(word)));
  return *word;
}

void PersistentMemory::store(u64* word, u64 value)
{
  if (script_) decide(line_of(index_of(word)));
  touch(index_of(word) / words_per_page);
  lines_[line_of(index_of(word))].stores.push_back({index_of(word), value});
  *word = value;
}

void PersistentMemory::write_back(const u64* word, u64 bytes)
{
  const u64 last = line_of(index_of(word) + bytes / sizeof(u64) - 1);
  for (u64 line = line_of(index_of(word)); line <= last; ++line) {
    if (script_) decide(line);
    const auto known = lines_.find(line);
    WrittenBack& back = written_back_[line];
    back.stores = known == lines_.end() ? 0 : known->second.stores.size();
    std::copy_n(now_.begin() + static_cast<std::ptrdiff_t>(line * words_per_line), words_per_line, back.words.begin());
  }
}

void PersistentMemory::fence()
{
  for (const auto& [line, back] : written_back_) {
    touch(line * words_per_line / words_per_page);
    std::copy(back.words.begin(), back.words.end(), kept_.begin() + static_cast<std::ptrdiff_t>(line * words_per_line));
    const auto known = lines_.find(line);
    if (known == lines_.end()) continue;
    std::vector<Store>& stores = known->second.stores;
    const std::size_t done = std::min(back.stores, stores.size());
    stores.erase(stores.begin(), stores.begin() + static_cast<std::ptrdiff_t>(done));
    if (stores.empty()) lines_.erase(known);
  }
  written_back_.clear();
}

template <class Copy>
void PersistentMemory::copy_pages(const PersistentMemory& other, Copy&& copy)
{
  for (const u64 page : other.touched_) touch(page);
  for (const u64 page : touched_) copy(static_cast<std::ptrdiff_t>(page * words_per_page));
}

void PersistentMemory::become(const PersistentMemory& other)
{
  copy_pages(other, [&](std::ptrdiff_t at) {
    std::copy_n(other.now_.begin() + at, words_per_page, now_.begin() + at);
    std::copy_n(other.kept_.begin() + at, words_per_page, kept_.begin() + at);
  });
  lines_ = other.lines_;
  written_back_ = other.written_back_;
  used_ = other.used_;
  used_pages_ = other.used_pages_;
}

void PersistentMemory::become_crashed(const PersistentMemory& other, std::vector<u32>* script)
{
  copy_pages(other, [&](std::ptrdiff_t at) {
    std::copy_n(other.kept_.begin() + at, words_per_page, now_.begin() + at);
    std::copy_n(other.kept_.begin() + at, words_per_page, kept_.begin() + at);
    std::copy_n(other.now_.begin() + at, words_per_page, evicted_.begin() + at);
  });
  lines_ = other.lines_;
  written_back_.clear();
  used_.assign(used_.size(), false);
  used_pages_ = 0;
  undecided_.assign(now_.size() / words_per_line, true);
  script_ = script;
  options.clear();
  decisions_ = 0;
}

// The states that the line passed through: persistent, after each store, and what the cache held at last (contents that
// were written privately have no stores of their own).
void PersistentMemory::decide(u64 line)
{
  if (!undecided_[line]) return;
  undecided_[line] = false;
  touch(line * words_per_line / words_per_page);
  const auto first = static_cast<std::ptrdiff_t>(line * words_per_line);
  const bool differs = !std::equal(evicted_.begin() + first, evicted_.begin() + first + words_per_line,
                                   kept_.begin() + first);
  const auto known = lines_.find(line);
  const std::vector<Store> stores = known == lines_.end() ? std::vector<Store>{} : known->second.stores;
  if (known != lines_.end()) lines_.erase(known);
  if (!differs && stores.empty()) return;
  const u32 states = static_cast<u32>(stores.size()) + 2;
  if (decisions_ == script_->size()) script_->push_back(0);
  const u32 chosen = (*script_)[decisions_++];
  options.push_back(states);
  if (chosen + 1 == states)
    std::copy_n(evicted_.begin() + first, words_per_line, now_.begin() + first);
  else
    for (u32 i = 0; i < chosen; ++i) now_[stores[i].word] = stores[i].value;
  std::copy_n(now_.begin() + first, words_per_line, kept_.begin() + first);
}

bool PersistentMemory::advance(std::vector<u32>& script, const std::vector<u32>& options)
{
  while (!script.empty()) {
    if (++script.back() < options[script.size() - 1]) return true;
    script.pop_back();
  }
  return false;
}

}  // namespace morsel::sim
