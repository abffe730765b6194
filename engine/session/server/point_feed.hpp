// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the session's journal got since the last look, as data of POINT events.
//
// Thread safety: the session's thread.
#pragma once
#include <utility>
#include <vector>

#include "engine/session/session.hpp"

namespace morsel::session {

class PointFeed {
 public:
  // At most so many records of one look are told, the latest ones.
  explicit PointFeed(std::size_t most) : most_(most) {}

  struct News {
    std::vector<std::pair<u64, Json>> records;  // by sequence, ascending; what is not consecutive is missing
    u64 newest = 0;                             // sequence of the latest record, told or not
  };
  // Looks only, unless somebody wants to be told.
  News look(Session& session, bool wanted);

 private:
  std::size_t most_;
  u64 newest_ = 0;
};

}  // namespace morsel::session
