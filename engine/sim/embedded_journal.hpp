// SPDX-License-Identifier: GPL-2.0-or-later
//
// The embedded machine's journal: records in memory until they are read, in the order of the accesses. Its clock is the
// sequence: one record takes one microsecond.
//
// Thread safety: records are appended by the actor that has the baton; read() may be called by another thread.
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <mutex>

#include "engine/session/journal_source.hpp"

namespace morsel::sim {

class EmbeddedJournal final : public session::JournalSource {
 public:
  static constexpr u64 ns_per_record = 1000;
  static constexpr std::size_t most_unread = std::size_t{1} << 20;  // 64 MiB; older ones are lost

  // `switched` is called before recording changes.
  explicit EmbeddedJournal(std::function<void(bool on)> switched = {}) : switched_(std::move(switched)) {}

  void record(bool on) override
  {
    if (switched_) switched_(on);
    const std::lock_guard lock(mutex_);
    if (on && !on_) unread_.clear();  // of an earlier recording, whose reader had no memory for them
    on_ = on;
  }
  bool recording() const override { return on_.load(std::memory_order_relaxed); }
  session::JournalRead read() override
  {
    const std::lock_guard lock(mutex_);
    session::JournalRead found{{unread_.begin(), unread_.end()}, lost_, 0};
    unread_.clear();
    lost_ = 0;
    return found;
  }

  // Fills in sequence and time.
  void append(morsel_journal_record record)
  {
    const std::lock_guard lock(mutex_);
    record.sequence = ++sequence_;
    record.time_ns = sequence_ * ns_per_record;
    if (unread_.size() == most_unread) {
      unread_.pop_front();
      ++lost_;
    }
    unread_.push_back(record);
  }
  // As it was when it was made.
  void reset()
  {
    const std::lock_guard lock(mutex_);
    on_ = false;
    unread_.clear();
    sequence_ = lost_ = 0;
  }
  // Of the last record.
  u64 sequence() const
  {
    const std::lock_guard lock(mutex_);
    return sequence_;
  }

 private:
  const std::function<void(bool)> switched_;
  std::atomic<bool> on_{false};
  mutable std::mutex mutex_;
  std::deque<morsel_journal_record> unread_;
  u64 sequence_ = 0, lost_ = 0;
};

}  // namespace morsel::sim
