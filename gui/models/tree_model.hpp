// SPDX-License-Identifier: GPL-2.0-or-later
//
// The aligned tree as an item model: column 0 the range, column 1 the primary, then one column per view. Lazy: the
// rows of a parent are found when the view asks for them, and runs of entries that are empty in every tree are folded
// into one row, so a sparse object is short and a full one costs eight bytes an entry.
//
// An index's internalId is level << 60 | entry number at that level over the whole object: stable from one snapshot
// to the next, so that selection and expansion survive, and unlike a parent's number it hashes well.
#pragma once
#include <QAbstractItemModel>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/session/aligned.hpp"

namespace morsel::gui {

using AlignedTreePtr = std::shared_ptr<const session::AlignedTree>;

// What one cell of a tree says, for whoever paints or copies it.
struct CellFacts {
  QString word;            // "8000 0000 7f3c 5867"; empty if there is none to show
  QString note;            // rights and A/D of a leaf, else what the entry is
  bool muted = false;      // nothing of its own stands here
  bool has_frame = false;  // digits 3 to 12 of the word (bits 51 to 12) name a frame or table
  bool has_state = false;
  inspect::DiffState state = inspect::DiffState::hole;
};

enum class EmptyRuns : u8 { folded, shown };

class TreeModel : public QAbstractItemModel {
  Q_OBJECT

 public:
  enum Role { state_role = Qt::UserRole, word_role };
  static constexpr int range_column = 0;
  static constexpr int primary_column = 1;

  explicit TreeModel(QObject* parent = nullptr);

  // Null: nothing to show. A tree with the same columns, top level and object replaces the one before in place.
  void setTree(AlignedTreePtr tree);
  const AlignedTreePtr& tree() const { return tree_; }
  void setEmptyRuns(EmptyRuns runs);
  EmptyRuns emptyRuns() const { return empty_runs_; }

  session::AlignedRow place(const QModelIndex& index) const;
  u64 foldedCount(const QModelIndex& index) const;  // entries in this row; 1 unless folded
  Range spanOf(const QModelIndex& index) const;
  // The row for a place, or for the folded run it lies in; invalid if there is no such row.
  QModelIndex indexOf(session::AlignedRow row, int column = range_column) const;
  QModelIndex deepestAt(u64 offset, int column) const;
  CellFacts facts(const QModelIndex& index) const;
  QString rangeText(const QModelIndex& index) const;
  // Column of the model to column of the aligned tree.
  static std::size_t treeColumn(int column) { return static_cast<std::size_t>(column - primary_column); }

  QModelIndex index(int row, int column, const QModelIndex& parent = {}) const override;
  QModelIndex parent(const QModelIndex& child) const override;
  using QObject::parent;
  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  bool hasChildren(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  struct Run {
    u32 first;  // child number
    u32 count;
  };
  using Runs = std::vector<Run>;

  const Runs& runsUnder(const QModelIndex& parent) const;
  const Runs& runsUnder(quint64 parent_id) const;
  Runs findRuns(quint64 parent_id) const;
  bool emptyEverywhere(session::AlignedRow row) const;
  session::AlignedRow childOf(quint64 parent_id, u64 number) const;
  QString toolTip(const QModelIndex& index) const;
  void replaceInPlace(AlignedTreePtr tree);

  AlignedTreePtr tree_;
  EmptyRuns empty_runs_ = EmptyRuns::folded;
  mutable std::unordered_map<quint64, Runs> runs_;  // by the parent's id
};

}  // namespace morsel::gui
