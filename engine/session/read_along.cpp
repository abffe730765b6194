// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/read_along.hpp"

#include <chrono>
#include <utility>

namespace morsel::session {

namespace {

// A ring of 2^15 records is full after 160 ms at 200,000 records a second of one CPU: there is room for a busy host.
constexpr std::chrono::milliseconds period{2};
constexpr std::size_t parts_kept = 16;  // of what there is room for: what is forgotten goes by parts

}  // namespace

ReadAlong::ReadAlong(JournalSource& source, std::size_t most)
    : source_(source), most_(most), thread_([this](const std::stop_token& end) { run(end); })
{
}

ReadAlong::~ReadAlong() = default;  // asks the thread to end, and waits for it: before anything that it uses goes

void ReadAlong::run(const std::stop_token& end)
{
  std::unique_lock lock(mutex_);
  while (!end.stop_requested() && !failed_) {
    read();
    pause_.wait_for(lock, end, period, [] { return false; });
  }
}

// With the mutex.
void ReadAlong::read()
{
  try {
    JournalRead more = source_.read();
    if (more.records.empty() && more.lost == 0 && more.garbage == 0) return;
    records_ += more.records.size();
    // What has no records takes up no part of its own, however often something is lost.
    const std::size_t in_last = parts_.empty() ? 0 : parts_.back().records.size();
    if (parts_.empty() || (in_last != 0 && (more.lost != 0 || in_last >= most_ / parts_kept))) {
      parts_.push_back(std::move(more));
    } else {
      JournalRead& last = parts_.back();
      last.records.insert(last.records.end(), more.records.begin(), more.records.end());
      last.lost += more.lost;
      last.garbage += more.garbage;
    }
    if (records_ > most_) forget_oldest();
  } catch (...) {
    failed_ = std::current_exception();
  }
}

// What is lost of the first parts was lost before what is kept.
void ReadAlong::forget_oldest()
{
  JournalRead gone;
  std::size_t parts = 0;
  for (; parts + 1 < parts_.size() && records_ > most_ * 3 / 4; ++parts) {
    gone.lost += parts_[parts].lost + parts_[parts].records.size();
    gone.garbage += parts_[parts].garbage;
    records_ -= parts_[parts].records.size();
  }
  parts_.erase(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(parts));
  parts_.front().lost += gone.lost;
  parts_.front().garbage += gone.garbage;
}

std::vector<JournalRead> ReadAlong::take()
{
  const std::lock_guard lock(mutex_);
  if (!failed_) read();
  if (failed_ && parts_.empty()) std::rethrow_exception(failed_);
  records_ = 0;
  return std::exchange(parts_, {});
}

}  // namespace morsel::session
