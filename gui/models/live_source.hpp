// SPDX-License-Identifier: GPL-2.0-or-later
//
// The target as the window sees it: lives in a thread of its own, owns the target, and tells by signals what it read.
// The window never calls a target and never waits for one.
//
// It reads again when the target says that something changed, when it is asked to, and some four times a second,
// because hardware writes entries (accessed and dirty bits, a guest's own mappings) without telling anybody. A reading
// whose words equal the last one's is only reported as such.
//
// Thread safety: after moveToThread every slot is called through a queued connection; listeners of the target may call
// from any thread.
#pragma once
#include <QObject>
#include <QTimer>
#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "engine/session/target.hpp"
#include "gui/models/tree_model.hpp"

namespace morsel::gui {

using TargetFactory = std::function<std::unique_ptr<session::Target>()>;
using ObjectList = std::vector<session::ObjectState>;

class LiveSource : public QObject {
  Q_OBJECT

 public:
  static constexpr int period_ms = 250;
  // Copies at most this many tables (4 KiB each) of one tree; what lies beyond is reported as an anomaly.
  static constexpr u64 max_tables = u64{1} << 16;

  // `open` is called in the source's thread: it may take its time, and may throw Failure.
  explicit LiveSource(TargetFactory open, QObject* parent = nullptr);
  ~LiveSource() override;

 public slots:
  // Opens the target; again after it was lost.
  void open();
  // Empty: none.
  void choose(const QString& object);
  void refresh();

 signals:
  void targetOpened(const morsel::session::TargetInfo& info);
  void objectsRead(const morsel::gui::ObjectList& objects);
  // What is chosen now. Null: nothing.
  void treeRead(morsel::gui::AlignedTreePtr tree, qint64 taken_ms);
  void readUnchanged(qint64 taken_ms);
  // Something could not be done; the source goes on. Empty parts are left out.
  void failed(const QString& tried, const QString& found, const QString& advice, morsel::session::Exit code);
  // The target is gone; open() or refresh() tries again.
  void targetLost(const QString& why);

 private:
  void onTargetEvent(const session::Event& event);  // any thread
  void readObjects();
  void readTree();
  void readAgain();
  void closeTarget();
  template <class F>
  void guarded(F&& work);
  const session::ObjectState* chosen() const;

  TargetFactory open_;
  std::unique_ptr<session::Target> target_;
  QTimer* timer_;
  QString chosen_;
  ObjectList objects_;
  AlignedTreePtr last_;
  qint64 objects_read_ms_ = 0;
  std::atomic<bool> refresh_queued_{false};
};

// Both read the same tables with the same words.
bool sameTables(const inspect::Snapshot& a, const inspect::Snapshot& b);

}  // namespace morsel::gui
