// SPDX-License-Identifier: GPL-2.0-or-later
//
// History: the tables of a target at any place of its journal. An image of the tables at the start of the recording,
// and for each record what it changed in memory; going anywhere is applying that in one direction or the other.
// A position is a number of records that were done: 0 is before the first, size() after the last.
//
// Not in any record, and so not as it was: accessed and dirty bits that hardware set. Positions where records are
// missing, or where entries did not hold what a record found there, are marked as doubtful.
//
// Thread safety: one thread at a time.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "engine/session/history_entries.hpp"
#include "engine/session/history_image.hpp"
#include "engine/session/journal.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

// What a record did to one word.
struct TableChange {
  TableImage::Index index = 0;
  u64 before = 0;
  u64 after = 0;
};

// From this position on (until the next of these) the objects were these.
struct ObjectsSince {
  std::size_t position = 0;
  std::vector<ObjectState> objects;
};

// Positions [from, to) at which the tables may have been otherwise.
struct Doubt {
  std::size_t from = 0;
  std::size_t to = 0;
};

// What a history may hold besides its image.
struct HistoryLimits {
  std::size_t changes = std::size_t{16} << 20;        // of words: 24 bytes each
  std::size_t object_states = std::size_t{1} << 20;  // of all objects at all times: some 300 bytes each
};

class History {
 public:
  // Begins with what stands in memory now.
  History(const inspect::PhysicalMemory& memory, std::vector<ObjectState> objects, HistoryLimits limits = {});
  // Begins with an image that is empty: of a saved journal.
  History(std::vector<Extent> extents, std::vector<ObjectsSince> objects, std::vector<Doubt> doubts);

  // What was read after those before; `objects` are those that there are now, `gap` says that records are missing among
  // or before them: then the trees are read from memory again. The position stays what it was, but for the newest.
  // Returns how many of the oldest had to be forgotten meanwhile, because so few records changed so much. If memory is
  // short (std::bad_alloc), none of these records is there; the oldest may be forgotten nevertheless.
  std::size_t append(std::span<const JournalRecord> records, const std::vector<ObjectState>& objects,
                     std::optional<std::size_t> gap, const inspect::PhysicalMemory& memory);
  void forget(std::size_t oldest);
  // How many of the oldest records must go for the rest to stay within the limits.
  std::size_t surplus() const;

  std::size_t size() const { return first_change_.size(); }
  std::size_t position() const { return position_; }
  void go_to(std::size_t position);
  bool is_exact(std::size_t position) const;

  // At the position.
  const inspect::PhysicalMemory& memory() const { return image_.memory(); }
  const std::vector<ObjectState>& objects() const;

  // For files: the changes of one record; the image itself. A reader fills the image and does the changes to it.
  std::span<const TableChange> changes(std::size_t record) const;
  void append_saved(std::span<const TableChange> changes);
  TableImage& image() { return image_; }
  const std::vector<Extent>& extents() const { return image_.extents(); }
  const std::vector<ObjectsSince>& objects_since() const { return objects_; }
  const std::vector<Doubt>& doubts() const { return doubts_; }

 private:
  void append_all(std::span<const JournalRecord> records, const std::vector<ObjectState>& objects,
                  std::optional<std::size_t> gap, const inspect::PhysicalMemory& memory, std::size_t& forgotten);
  void give_up_after(std::size_t count);
  void apply(const JournalRecord& record, const TreeTable& trees, const std::vector<ObjectState>& after);
  void apply_entry(const JournalRecord& record, const inspect::TreeSource& tree);
  void apply_allocation(const JournalRecord& record, const TreeTable& trees, const std::vector<ObjectState>& after);
  // What an operation stored in a table before it linked it, and no record tells.
  void fill_linked_table(const JournalRecord& record, const inspect::TreeSource& tree);
  void write(TableImage::Index index, u64 word);
  void read_trees(const inspect::PhysicalMemory& memory, const std::vector<ObjectState>& objects);
  void read_tree(const inspect::PhysicalMemory& memory, const inspect::TreeSource& tree, Range range);
  void note_objects(std::span<const JournalRecord> records, const std::vector<ObjectState>& objects,
                    const inspect::PhysicalMemory& memory);
  void doubt(std::size_t from, std::size_t to);
  void append_objects(ObjectsSince since);

  TableImage image_;
  std::vector<TableChange> changes_;
  std::vector<u64> first_change_;  // of each record, in changes_ (less forgotten_changes_)
  u64 forgotten_changes_ = 0;
  std::vector<ObjectsSince> objects_;  // ascending
  std::size_t object_states_ = 0;      // in all of them
  HistoryLimits limits_;
  std::vector<Doubt> doubts_;          // ascending
  EntryFinder entries_;
  std::size_t position_ = 0;
  std::size_t trusted_from_ = 0;  // nothing speaks against the positions from here to the end
};

// Accessed and dirty bits, and what Linux sets beside them in tables of processes: history knows of them only what
// records tell.
u64 hardware_bits(FormatId format);

}  // namespace morsel::session
