// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/point_feed.hpp"

#include <algorithm>

#include "engine/session/facts_journal.hpp"

namespace morsel::session {

PointNews PointFeed::look(Session& session, bool wanted)
{
  PointNews news;
  Recorder& recorder = session.recorder();
  if (!recorder.own() || recorder.chronicle().journal.size() == 0) return news;
  const Journal& journal = recorder.chronicle().journal;
  const u64 first = journal.records().front().sequence, newest = journal.records().back().sequence;
  if (std::exchange(recording_, recorder.recording()) != recorder.recording()) {
    if (first <= newest_) news.restarted = first;
  } else if (newest < newest_) {  // a branch: what comes before it is the same
    news.restarted = newest + 1;
  }
  if (news.restarted) newest_ = *news.restarted - 1;
  news.newest = newest;
  if (wanted && newest > newest_)
    for (std::size_t n = std::max(journal.count_until(newest_), journal.size() - std::min(journal.size(), most_));
         n < journal.size(); ++n)
      news.records.emplace_back(journal.records()[n].sequence, record_facts(recorder.chronicle(), n));
  newest_ = newest;
  return news;
}

void PointLog::add(PointNews&& news)
{
  for (auto& [sequence, data] : news.records) {
    if (sequence != log_.last() + 1) log_.skip_to(sequence - 1);
    log_.add("POINT", std::move(data), EventLog::Clock::now());
  }
  if (news.newest && log_.last() != *news.newest) log_.skip_to(*news.newest);
}

void PointLog::restart(u64 event, u64 from)
{
  log_.cut(from - 1);
  while (!restarts_.empty() && restarts_.back().from >= from) restarts_.pop_back();
  restarts_.push_back({event, from});
}

u64 PointLog::known(u64 cursor, u64 event) const
{
  for (const Restart& r : restarts_)
    if (r.event > event) return std::min(cursor, r.from - 1);
  return cursor;
}

}  // namespace morsel::session
