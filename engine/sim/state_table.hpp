// SPDX-License-Identifier: GPL-2.0-or-later
//
// The states that a search has met: a hash table of 63 bits of their hashes with 16 bits each, open addressing, ten
// bytes a slot. Among 20 million states, two are taken for one with a probability of 1 in 40,000.
#pragma once
#include <vector>

#include "engine/base/types.hpp"

namespace morsel::sim {

class StateTable {
 public:
  StateTable() { clear(); }
  std::size_t size() const { return count_; }
  void clear()
  {
    keys_.assign(1024, 0);
    values_.assign(1024, 0);
    count_ = 0;
  }
  struct Found {
    u16& value;
    bool fresh;  // it was not there; now it is, with the value given
  };
  Found try_emplace(u64 key, u16 value)
  {
    if (count_ * 3 > keys_.size() * 2) grow();
    const std::size_t at = slot(key | free_bit);
    const bool fresh = keys_[at] == 0;
    if (fresh) {
      keys_[at] = key | free_bit;
      values_[at] = value;
      ++count_;
    }
    return {values_[at], fresh};
  }

 private:
  static constexpr u64 free_bit = 1;  // set in every key, so that zero is a free slot

  std::size_t slot(u64 key) const
  {
    std::size_t at = (key >> 1) & (keys_.size() - 1);
    while (keys_[at] != 0 && keys_[at] != key) at = (at + 1) & (keys_.size() - 1);
    return at;
  }
  void grow()
  {
    std::vector<u64> keys(keys_.size() * 2);
    std::vector<u16> values(keys.size());
    keys.swap(keys_);
    values.swap(values_);
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (keys[i] != 0) {
        const std::size_t at = slot(keys[i]);
        keys_[at] = keys[i];
        values_[at] = values[i];
      }
  }

  std::vector<u64> keys_;
  std::vector<u16> values_;
  std::size_t count_ = 0;
};

}  // namespace morsel::sim
