// SPDX-License-Identifier: GPL-2.0-or-later
//
// What stood in memory before it was changed, so that a change can be taken back: the way from a state under
// exploration back to an earlier one.
#pragma once
#include <cstring>
#include <vector>

#include "engine/base/types.hpp"

namespace morsel::sim {

class UndoLog {
 public:
  struct Mark {
    std::size_t entries = 0, bytes = 0;
  };
  Mark mark() const { return {entries_.size(), bytes_.size()}; }

  // Before the `bytes` at `at` are changed.
  void save(void* at, std::size_t bytes)
  {
    const std::size_t where = bytes_.size();
    bytes_.resize(where + bytes);
    std::memcpy(bytes_.data() + where, at, bytes);
    entries_.push_back({at, where});
  }
  template <class T>
  void set(T& variable, T value)
  {
    save(&variable, sizeof variable);
    variable = value;
  }

  void undo_to(Mark mark)
  {
    while (entries_.size() > mark.entries) {
      const Entry e = entries_.back();
      entries_.pop_back();
      std::memcpy(e.at, bytes_.data() + e.where, bytes_.size() - e.where);
      bytes_.resize(e.where);
    }
  }

 private:
  struct Entry {
    void* at;
    std::size_t where;
  };
  std::vector<Entry> entries_;
  std::vector<std::byte> bytes_;
};

}  // namespace morsel::sim
