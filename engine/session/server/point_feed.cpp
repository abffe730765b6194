// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/point_feed.hpp"

#include <algorithm>

#include "engine/session/facts_journal.hpp"

namespace morsel::session {

PointFeed::News PointFeed::look(Session& session, bool wanted)
{
  Recorder& recorder = session.recorder();
  if (!recorder.on()) return {{}, newest_};
  const Journal& journal = recorder.chronicle().journal;
  const u64 newest = journal.size() == 0 ? 0 : journal.records().back().sequence;
  if (newest < newest_) newest_ = 0;  // recording has begun anew
  News news{{}, newest};
  if (wanted && newest > newest_)
    for (std::size_t n = std::max(journal.count_until(newest_), journal.size() - std::min(journal.size(), most_));
         n < journal.size(); ++n)
      news.records.emplace_back(journal.records()[n].sequence, record_facts(recorder.chronicle(), n));
  newest_ = newest;
  return news;
}

}  // namespace morsel::session
