// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/models/live_source.hpp"

#include <QDateTime>
#include <QElapsedTimer>
#include <algorithm>

namespace morsel::gui {
namespace {

using session::AlignedTree;
using session::AlignedView;
using session::Event;
using session::Failure;
using session::ObjectState;
using session::ViewState;

// Objects' own facts (counts, attachments) change with the tables, but asking costs the target a round trip.
constexpr qint64 objects_period_ms = 1000;

std::vector<inspect::Snapshot> snapshotViews(const inspect::PhysicalMemory& memory, const ObjectState& object)
{
  std::vector<inspect::Snapshot> views;
  views.reserve(object.views.size());
  for (const ViewState& v : object.views)
    views.push_back(
        inspect::Snapshot::take(memory, v.source(), object.range(), {.max_tables = LiveSource::max_tables}));
  return views;
}

bool sameFacts(const ObjectState& a, const ObjectState& b)
{
  const auto same_view = [](const ViewState& x, const ViewState& y) {
    return x.number == y.number && x.format == y.format && x.root == y.root && x.root_level == y.root_level &&
           x.attached == y.attached;
  };
  return a.name == b.name && a.id == b.id && a.bytes == b.bytes && a.root == b.root && a.attached == b.attached &&
         a.tables == b.tables && a.frames == b.frames && std::ranges::equal(a.views, b.views, same_view);
}

// One reading of all tables of an object. Comparing it with the last one is cheaper than a diff.
struct Reading {
  inspect::Snapshot primary;
  std::vector<inspect::Snapshot> views;

  static Reading take(const inspect::PhysicalMemory& memory, const ObjectState& object)
  {
    return {inspect::Snapshot::take(memory, object.source(), object.range(), {.max_tables = LiveSource::max_tables}),
            snapshotViews(memory, object)};
  }
  bool sameAs(const AlignedTree& tree, const ObjectState& object) const
  {
    if (!sameFacts(tree.object(), object) || tree.columns() != views.size() + 1) return false;
    if (!sameTables(tree.snapshot(0), primary)) return false;
    for (std::size_t n = 0; n < views.size(); ++n)
      if (!sameTables(tree.snapshot(n + 1), views[n])) return false;
    return true;
  }
  AlignedTreePtr align(const ObjectState& object) &&
  {
    std::vector<AlignedView> aligned;
    for (std::size_t n = 0; n < views.size(); ++n) {
      auto diff = inspect::Diff::compare(primary, views[n], object.range());
      aligned.push_back({object.views[n], std::move(views[n]), std::move(diff)});
    }
    return std::make_shared<AlignedTree>(object, std::move(primary), std::move(aligned), object.range());
  }
};

// The trees are not read at one instant: a page that changes between two of them looks like a difference. So a
// difference counts when a second reading finds the same words. A target that never holds still is shown as read last.
AlignedTreePtr readSettled(const inspect::PhysicalMemory& memory, const ObjectState& object, Reading first)
{
  constexpr int readings_at_most = 4;
  AlignedTreePtr tree = std::move(first).align(object);
  for (int n = 1; n < readings_at_most && !tree->clean(); ++n) {
    Reading again = Reading::take(memory, object);
    if (again.sameAs(*tree, object)) break;
    tree = std::move(again).align(object);
  }
  return tree;
}

}  // namespace

bool sameTables(const inspect::Snapshot& a, const inspect::Snapshot& b)
{
  if (a.table_count() != b.table_count() || a.anomaly_count() != b.anomaly_count()) return false;
  if (a.source().root != b.source().root || a.range() != b.range()) return false;
  for (u32 t = 0; t < a.table_count(); ++t)
    if (a.table_address(t) != b.table_address(t) || !std::ranges::equal(a.words(t), b.words(t))) return false;
  return true;
}

LiveSource::LiveSource(TargetFactory open, QObject* parent)
    : QObject(parent), open_(std::move(open)), timer_(new QTimer(this))
{
  timer_->setSingleShot(true);
  connect(timer_, &QTimer::timeout, this, &LiveSource::readAgain);
}

LiveSource::~LiveSource() { closeTarget(); }

template <class F>
void LiveSource::guarded(F&& work)
{
  try {
    work();
  } catch (const Failure& f) {
    if (f.code() == session::Exit::target_lost) {
      closeTarget();
      emit targetLost(QString::fromStdString(f.found()));
    } else {
      emit failed(QString::fromStdString(f.tried()), QString::fromStdString(f.found()),
                  QString::fromStdString(f.advice()), f.code());
    }
  } catch (const std::exception& e) {
    emit failed(QStringLiteral("read the target"), QString::fromUtf8(e.what()), {}, session::Exit::target_lost);
  }
}

void LiveSource::closeTarget()
{
  timer_->stop();
  if (!target_) return;
  target_->listen({});
  target_.reset();
  last_.reset();
}

void LiveSource::open()
{
  closeTarget();
  guarded([this] {
    target_ = open_();
    target_->listen([this](const Event& event) { onTargetEvent(event); });
    emit targetOpened(target_->info());
  });
  if (target_) refresh();
}

void LiveSource::onTargetEvent(const Event& event)
{
  if (event.kind == Event::Kind::target_lost) {
    const QString why = QString::fromStdString(event.text);
    QMetaObject::invokeMethod(
        this,
        [this, why] {
          closeTarget();
          emit targetLost(why);
        },
        Qt::QueuedConnection);
    return;
  }
  // Many changes in a row are one reading.
  if (!refresh_queued_.exchange(true)) QMetaObject::invokeMethod(this, &LiveSource::refresh, Qt::QueuedConnection);
}

void LiveSource::choose(const QString& object)
{
  chosen_ = object;
  last_.reset();
  if (target_) guarded([this] { readTree(); });
}

void LiveSource::refresh()
{
  refresh_queued_ = false;
  if (!target_) return open();
  guarded([this] {
    readObjects();
    readTree();
  });
  if (target_) timer_->start(period_ms);
}

const ObjectState* LiveSource::chosen() const
{
  const auto found = std::ranges::find(objects_, chosen_.toStdString(), &ObjectState::name);
  return found == objects_.end() ? nullptr : &*found;
}

void LiveSource::readObjects()
{
  objects_ = target_->objects();
  objects_read_ms_ = QDateTime::currentMSecsSinceEpoch();
  emit objectsRead(objects_);
}

void LiveSource::readTree()
{
  const qint64 now = QDateTime::currentMSecsSinceEpoch();
  const ObjectState* object = chosen();
  if (!object) {
    const bool had_one = last_ != nullptr;
    last_.reset();
    if (had_one || !chosen_.isEmpty()) emit treeRead(nullptr, now);
    return;
  }
  const inspect::PhysicalMemory& memory = target_->memory();
  Reading reading = Reading::take(memory, *object);
  if (last_ && reading.sameAs(*last_, *object)) {
    emit readUnchanged(now);
    return;
  }
  last_ = readSettled(memory, *object, std::move(reading));
  emit treeRead(last_, now);
}

// The light reading. Its pause grows with its own length, so that a huge object does not keep a core busy.
void LiveSource::readAgain()
{
  if (!target_) return;
  QElapsedTimer took;
  took.start();
  guarded([this] {
    const AlignedTreePtr before = last_;
    readTree();
    const bool due = QDateTime::currentMSecsSinceEpoch() - objects_read_ms_ >= objects_period_ms;
    if (last_ != before && due) readObjects();
  });
  if (target_) timer_->start(std::max<int>(period_ms, static_cast<int>(4 * took.elapsed())));
}

}  // namespace morsel::gui
