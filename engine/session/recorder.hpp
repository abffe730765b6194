// SPDX-License-Identifier: GPL-2.0-or-later
//
// The recorder: a target's journal and history, and the place in them that the session shows. The place is the present
// (the machine itself), or a position of the history: then nothing is shown but what was then.
// A journal that was loaded from a file, or whose recording has ended, has no present: its last position is its end.
//
// A journal that fills up is read by a thread of the recorder's, whatever its owner does meanwhile (read_along.hpp).
//
// Thread safety: one thread at a time. The target outlives the recording.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/session/history.hpp"
#include "engine/session/journal.hpp"
#include "engine/session/promises.hpp"
#include "engine/session/read_along.hpp"

namespace morsel::session {

// A broken invariant that whoever recorded has seen, after so many records: what hardware has cached, and other things
// that leave no trace in tables.
struct Finding {
  std::size_t position = 0;
  std::string text;  // "I3 a frame is freed while …"
};

// A journal with its history: recorded here, loaded, or of a run of exploration.
struct Chronicle {
  std::string target;  // which machine, in words
  Journal journal;
  std::unique_ptr<History> history;
  std::vector<Finding> findings{};
  Promises promises{};  // followed while it is recorded
};

class Recorder {
 public:
  // Begins anew. Failure if the target has no journal.
  void start(Target& target);
  void stop(Target& target);
  bool on() const { return on_; }
  // Which one it is of all recordings in this process, from 1; a branch is none of its own.
  u64 recording() const { return recording_; }
  // Whether the chronicle is of this recording, which may be over; or was loaded.
  bool own() const { return own_; }
  // Takes over what was recorded meanwhile. A target that is lost ends the recording, with what it has told before.
  void sync(Target& target);
  const std::string& ended() const { return ended_; }  // why, if nobody asked for it

  // Goes on from where it stands in the past: the target becomes what it was there, and the recording ends there.
  // Failure if this was not recorded from this target, or the target does not go back.
  void branch(Target& target);
  void check_branch(Target& target) const;

  // Recording must be off.
  void load(Chronicle chronicle);
  bool empty() const { return !chronicle_.history; }
  const Chronicle& chronicle() const { return chronicle_; }
  Chronicle& chronicle() { return chronicle_; }

  bool in_past() const { return past_; }
  // How many records were done there; the present counts as all of them.
  std::size_t position() const { return past_ ? chronicle_.history->position() : chronicle_.journal.size(); }
  void go_to(std::size_t position);
  void go_to_present() { past_ = false; }
  // "record 812 of 1,204"
  std::string place() const;

 private:
  void begin(Target& target);
  // All of it or nothing: journal and history tell of the same records, also where memory is short.
  void append(const std::vector<JournalRead>& parts, Target& target);
  void append_with_objects(const std::vector<JournalRead>& parts, Target& target);
  void append_records(const std::vector<JournalRead>& parts, const std::vector<ObjectState>& objects,
                      const inspect::PhysicalMemory& memory);
  void end(std::string why);

  Chronicle chronicle_;
  std::unique_ptr<ReadAlong> reader_;  // while it is on, if the source fills up
  bool on_ = false;
  bool past_ = false;
  bool own_ = false;  // recorded here
  u64 recording_ = 0;
  std::string ended_;
};

}  // namespace morsel::session
