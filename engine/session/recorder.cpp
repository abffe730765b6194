// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/recorder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <new>

namespace morsel::session {

namespace {

JournalSource& source_of(Target& target)
{
  JournalSource* const source = target.journal();
  if (!source)
    throw Failure(Exit::skipped, "record a journal", fmt::format("'{}' has none", target.info().name),
                  "The embedded machine and the test VM have one; a dump does not change.");
  return *source;
}

}  // namespace

void Recorder::start(Target& target)
{
  JournalSource& source = source_of(target);
  if (on_) stop(target);
  source.record(true);
  try {
    if (source.fills_up()) reader_ = std::make_unique<ReadAlong>(source, Journal::default_capacity);
    // First the switch, then the look: what happens between the two is in the journal, and done again is done once.
    begin(target);
  } catch (...) {
    reader_.reset();
    source.record(false);
    throw;
  }
  static std::atomic<u64> recordings{0};
  recording_ = ++recordings;
  on_ = own_ = true;
  past_ = false;
  ended_.clear();
}

void Recorder::begin(Target& target)
{
  const std::vector<ObjectState> objects = target.objects();
  chronicle_ = {target.info().machine, Journal{}, std::make_unique<History>(target.memory(), objects)};
  chronicle_.promises.follow({}, objects);
}

void Recorder::check_branch(Target& target) const
{
  const u64 sequence = chronicle_.journal.sequence_at(position());
  const std::string tried = fmt::format("go on from record {}", sequence);
  if (!past_) throw Failure(Exit::usage, tried, "the session shows the present", "'back' goes into the past.");
  if (!own_)
    throw Failure(Exit::usage, tried, "this was not recorded from this machine",
                  "Only what was done to this machine can be done again.");
  if (!target.goes_back()) target.go_back_to(sequence, {});
}

// What was recorded up to there is recorded again.
void Recorder::branch(Target& target)
{
  check_branch(target);
  const u64 sequence = chronicle_.journal.sequence_at(position());
  on_ = past_ = false;
  target.go_back_to(sequence, [&] { begin(target); });
  on_ = true;
  ended_.clear();
  sync(target);
}

// First the switch, then the look: what came in between must not stay behind for the next recording.
void Recorder::stop(Target& target)
{
  if (!on_) return;
  try {
    source_of(target).record(false);
  } catch (const Failure& failure) {
    ended_ = failure.what();
  }
  sync(target);
  end(ended_);
}

void Recorder::end(std::string why)
{
  reader_.reset();
  on_ = false;
  ended_ = std::move(why);
}

void Recorder::sync(Target& target)
{
  if (!on_) return;
  try {
    append(reader_ ? reader_->take() : std::vector{source_of(target).read()}, target);
  } catch (const std::bad_alloc&) {
    end("there is no memory for more records");
    try {
      source_of(target).record(false);
    } catch (const Failure&) {  // whoever is gone records nothing
    }
  } catch (const std::exception& failure) {
    end(failure.what());
  }
}

void Recorder::append(const std::vector<JournalRead>& parts, Target& target)
{
  Journal& journal = chronicle_.journal;
  u64 lost = journal.lost;
  try {
    append_with_objects(parts, target);
  } catch (const std::bad_alloc&) {
    for (const JournalRead& part : parts) lost += part.lost + part.records.size();
    journal.lost = lost;
    throw;
  }
}

// The last records of a machine that is gone are those that tell why. Its objects are then the last that are known.
void Recorder::append_with_objects(const std::vector<JournalRead>& parts, Target& target)
{
  std::vector<ObjectState> objects;
  try {
    objects = target.objects();
  } catch (const Failure&) {
    History& history = *chronicle_.history;
    objects = history.objects_since().back().objects;
    append_records(parts, objects, history.memory());
    throw;
  }
  append_records(parts, objects, target.memory());
}

void Recorder::append_records(const std::vector<JournalRead>& parts, const std::vector<ObjectState>& objects,
                              const inspect::PhysicalMemory& memory)
{
  Journal& journal = chronicle_.journal;
  History& history = *chronicle_.history;
  const std::size_t gaps = journal.gaps().size(), first = journal.size();
  try {
    for (const JournalRead& part : parts) journal.append(part);
    const std::optional<std::size_t> gap =
        journal.gaps().size() > gaps ? std::optional(journal.gaps()[gaps].before) : std::nullopt;
    chronicle_.promises.follow(journal.records().subspan(first), objects);
    journal.forget(history.append(journal.records().subspan(first), objects, gap, memory));
  } catch (const std::bad_alloc&) {
    journal.forget(first - history.size());  // what the history has forgotten meanwhile
    journal.give_up_after(history.size());
    throw;
  }
  if (const std::size_t surplus = std::max(journal.surplus(), history.surplus()); surplus != 0) {
    history.forget(surplus);
    journal.forget(surplus);
  }
}

void Recorder::load(Chronicle chronicle)
{
  own_ = false;
  chronicle_ = std::move(chronicle);
  chronicle_.history->go_to(chronicle_.history->size());
  past_ = true;
  ended_.clear();
}

void Recorder::go_to(std::size_t position)
{
  chronicle_.history->go_to(position);
  past_ = !on_ || position < chronicle_.history->size();
}

std::string Recorder::place() const
{
  const Journal& journal = chronicle_.journal;
  return fmt::format("record {} of {}", journal.sequence_at(position()), journal.sequence_at(journal.size()));
}

}  // namespace morsel::session
