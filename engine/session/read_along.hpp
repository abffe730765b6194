// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads a source that forgets what is not read soon (a VM's rings) while everybody else is busy, by a thread of its
// own, until its owner takes what it has read. What nobody takes is kept up to a bound; beyond it the oldest records
// are lost, and counted.
//
// Thread safety: its owner's thread; the source is read by nobody else meanwhile, and outlives it.
#pragma once
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/session/journal_source.hpp"

namespace morsel::session {

class ReadAlong {
 public:
  // At most about so many records wait to be taken.
  ReadAlong(JournalSource& source, std::size_t most);
  ~ReadAlong();
  ReadAlong(const ReadAlong&) = delete;
  ReadAlong& operator=(const ReadAlong&) = delete;

  // All that there is by now, in order. When all was given out that was read before reading has thrown: throws that.
  std::vector<JournalRead> take();

 private:
  void run(const std::stop_token& end);
  void read();
  void forget_oldest();

  JournalSource& source_;
  const std::size_t most_;
  std::mutex mutex_;  // of what follows
  std::condition_variable_any pause_;  // between two looks; ended by who asks the thread to end
  std::vector<JournalRead> parts_;  // `lost` of each was lost before its records
  std::size_t records_ = 0;         // in all of them
  std::exception_ptr failed_;
  std::jthread thread_;
};

}  // namespace morsel::session
