// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the window does with readings and with the user's wishes. How it is put together: main_window_layout.cpp.
#include "gui/window/main_window.hpp"

#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QDateTime>
#include <QLabel>
#include <QLineEdit>
#include <QMessageBox>
#include <QStatusBar>

#include "engine/inspect/decode.hpp"
#include "gui/entry/entry_panel.hpp"
#include "gui/map/map_panel.hpp"
#include "gui/models/differences.hpp"
#include "gui/models/text.hpp"
#include "gui/objects/object_panel.hpp"
#include "gui/tree/aligned_view.hpp"

namespace morsel::gui {
namespace {

// Where reading begins: the first difference, else the first page that anybody maps.
session::AlignedRow firstPlace(const session::AlignedTree& tree)
{
  for (std::size_t c = 1; c < tree.columns(); ++c)
    for (const inspect::DiffRun& run : tree.diff(c).runs())
      if (run.state != inspect::DiffState::hole) return tree.deepest(run.range.start);
  const inspect::Snapshot& primary = tree.snapshot(0);
  for (u32 t = 0; t < primary.table_count(); ++t) {
    const Level level = primary.table_level(t);
    const auto words = primary.words(t);
    for (std::size_t n = 0; n < words.size(); ++n)
      if (tree.format(0).kind(words[n], level) == EntryKind::leaf)
        return tree.deepest(primary.table_offset(t) + n * session::AlignedTree::entry_bytes(level));
  }
  return tree.root(0);
}

}  // namespace

void MainWindow::start() { QMetaObject::invokeMethod(source_, &LiveSource::open, Qt::QueuedConnection); }

void MainWindow::refresh()
{
  live_->setText(QStringLiteral("reading …"));
  QMetaObject::invokeMethod(source_, &LiveSource::refresh, Qt::QueuedConnection);
}

void MainWindow::onTargetOpened(const session::TargetInfo& info)
{
  opened_ = true;
  failure_.clear();
  target_name_ = QString::fromStdString(info.name);
  target_->setText(QStringLiteral("%1 · %2").arg(target_name_, QString::fromStdString(info.machine)));
  showBanner({});
}

void MainWindow::onObjectsRead(const ObjectList& objects)
{
  objects_->setObjects(objects, options_.object);
  updateEmptyText();
  if (!objects.empty()) return;
  showLive(QDateTime::currentMSecsSinceEpoch());
  emit readingShown();
}

void MainWindow::onTreeRead(const AlignedTreePtr& tree, qint64 taken_ms)
{
  // A reading of an object that is not the chosen one any more is out of date.
  if (tree && QString::fromStdString(tree->object().name) != objects_->chosen()) return;
  const bool other_object = !tree_->tree() || !tree || tree_->tree()->object().name != tree->object().name;
  const auto open_rows = tree_view_->openRows();
  const QModelIndex before = tree_view_->currentIndex();
  const u64 place = before.isValid() ? tree_->place(before).offset : 0;
  const int column = before.column();

  tree_->setTree(tree);
  map_->showTree(tree);
  updateEmptyText();
  updateDifferences();
  failure_.clear();
  showBanner(anomalyText());
  if (tree && other_object) {
    tree_view_->openForReading();
    chooseFirstEntry();
  } else if (tree && !tree_view_->currentIndex().isValid()) {
    tree_view_->open(open_rows);
    if (!tree_view_->goTo(place, std::clamp(column, 0, tree_->columnCount() - 1))) chooseFirstEntry();
  }
  showEntry(tree_view_->currentIndex());
  setWindowTitle(tree ? QStringLiteral("%1 – %2 – Morselscope").arg(objects_->chosen(), target_name_)
                      : QStringLiteral("Morselscope"));
  showLive(taken_ms);
  emit readingShown();
}

void MainWindow::onFailed(const QString& tried, const QString& found, const QString& advice, session::Exit code)
{
  failure_ = QStringLiteral("<b>%1</b>: %2").arg(tried.toHtmlEscaped(), found.toHtmlEscaped());
  if (!advice.isEmpty()) failure_ += QStringLiteral("<br>%1").arg(advice.toHtmlEscaped());
  showBanner(failure_);
  if (opened_) return;
  updateEmptyText();
  live_->setText(QStringLiteral("not connected"));
  emit openFailed(QStringLiteral("%1: %2%3").arg(tried, found, advice.isEmpty() ? QString() : "\n  " + advice), code);
}

void MainWindow::onTargetLost(const QString& why)
{
  opened_ = false;
  failure_ = QStringLiteral("<b>The target is gone</b>: %1<br>What is shown is the last reading. F5 tries again.")
                 .arg(why.toHtmlEscaped());
  showBanner(failure_);
  live_->setText(QStringLiteral("<span style='color:%1'>○ lost</span>").arg(colors().bad.name()));
  emit openFailed(QStringLiteral("the target is gone: %1").arg(why), session::Exit::target_lost);
}

void MainWindow::showLive(qint64 taken_ms)
{
  const QString time = QDateTime::fromMSecsSinceEpoch(taken_ms).toString(QStringLiteral("HH:mm:ss"));
  live_->setText(QStringLiteral("<span style='color:%1'>●</span> live · read %2").arg(colors().good.name(), time));
}

void MainWindow::showBanner(const QString& text)
{
  banner_->setText(text);
  banner_->setVisible(!text.isEmpty());
}

QString MainWindow::anomalyText() const
{
  const AlignedTreePtr& tree = tree_->tree();
  if (!tree) return {};
  QStringList lines;
  for (std::size_t c = 0; c < tree->columns(); ++c) {
    const inspect::Snapshot& s = tree->snapshot(c);
    if (s.anomaly_count() == 0) continue;
    const inspect::Anomaly& first = s.anomalies().front();
    lines << QStringLiteral("<b>%1</b>: %2 %3; the first: %4 at 0x%5, level %6, word %7")
                 .arg(QString::fromStdString(tree->title(c)))
                 .arg(s.anomaly_count())
                 .arg(s.anomaly_count() == 1 ? QStringLiteral("anomaly") : QStringLiteral("anomalies"))
                 .arg(fromView(inspect::anomaly_name(first.kind)), groupedHex(first.offset, 8))
                 .arg(first.level)
                 .arg(groupedHex(first.word));
  }
  return lines.join(QStringLiteral("<br>"));
}

void MainWindow::updateEmptyText()
{
  QString text = QStringLiteral("Opening the target …");
  if (!failure_.isEmpty())
    text = QStringLiteral("Nothing to show. Press F5 to try again.");
  else if (opened_ && objects_->objects()->rowCount() == 0)
    text = QStringLiteral(
        "The target holds no objects yet.\n\nCreate one:\n"
        "morselctl object create demo 64M\nmorselctl view add demo ept");
  else if (opened_)
    text = QStringLiteral("Choose an object on the left.");
  tree_view_->setProperty("empty_text", text);
  tree_view_->viewport()->update();
}

void MainWindow::updateDifferences()
{
  const AlignedTreePtr& tree = tree_->tree();
  u64 pages = 0;
  if (tree)
    for (std::size_t c = 1; c < tree->columns(); ++c) pages += uncleanPages(tree->diff(c));
  const bool any = pages > 0;
  for (QAction* action : {next_action_, previous_action_}) {
    action->setEnabled(any);
    action->setToolTip(any ? QStringLiteral("%1 (%2)").arg(action->text(), action->shortcut().toString())
                           : QStringLiteral("No view differs from its primary"));
  }
  if (!tree)
    summary_->clear();
  else if (tree->columns() == 1)
    summary_->setText(QStringLiteral("no views"));
  else
    summary_->setText(any ? QStringLiteral("<b style='color:%1'>✗ %2 wrong</b>")
                                .arg(colors().bad.name(),
                                     pages == 1 ? QStringLiteral("1 page") : QStringLiteral("%1 pages").arg(pages))
                          : QStringLiteral("<b style='color:%1'>✓ all views clean</b>").arg(colors().good.name()));
}

void MainWindow::chooseFirstEntry()
{
  const AlignedTreePtr& tree = tree_->tree();
  if (const auto difference = nextDifference(*tree, {})) {
    tree_view_->goTo(difference->offset, static_cast<int>(difference->column) + TreeModel::primary_column);
    return;
  }
  const int column = tree->columns() > 1 ? TreeModel::primary_column + 1 : TreeModel::primary_column;
  if (tree->root_count() > 0) tree_view_->goTo(firstPlace(*tree).offset, column);
}

QString MainWindow::describe(const QModelIndex& index) const
{
  if (!index.isValid() || !tree_->tree()) return {};
  const Range span = tree_->spanOf(index);
  QString text = QStringLiteral("0x%1 + %2").arg(groupedHex(span.start, 8), sizeText(span.bytes()));
  if (index.column() == TreeModel::range_column) return text;
  const std::size_t column = TreeModel::treeColumn(index.column());
  const session::AlignedCell cell = tree_->tree()->cell(tree_->place(index), column);
  text += QStringLiteral("  ·  ") + QString::fromStdString(tree_->tree()->title(column));
  if (cell.exists && cell.readable) {
    const auto entry = inspect::decode(tree_->tree()->format(column), cell.level, cell.word);
    text += QStringLiteral("  ·  ") + QString::fromStdString(inspect::one_line(entry));
  }
  if (column > 0) text += QStringLiteral("  ·  ") + stateName(cell.worst);
  return text;
}

void MainWindow::showEntry(const QModelIndex& index)
{
  copy_action_->setEnabled(index.isValid() && index.column() != TreeModel::range_column);
  copy_action_->setToolTip(copy_action_->isEnabled() ? QStringLiteral("Copy the chosen entry's word as hex")
                                                     : QStringLiteral("No entry is chosen"));
  if (!index.isValid() || !tree_->tree()) {
    entry_->showNothing();
    map_->setMarker({});
    chosen_text_.clear();
  } else {
    const int column = std::max(index.column(), TreeModel::primary_column);
    entry_->showEntry(tree_->tree(), tree_->place(index), TreeModel::treeColumn(column));
    map_->setMarker(tree_->spanOf(index));
    chosen_text_ = describe(index);
  }
  showHover({});
}

void MainWindow::showHover(const QString& text) { hover_->setText(text.isEmpty() ? chosen_text_ : text); }

void MainWindow::goTo(u64 offset, int column) { tree_view_->goTo(offset, column); }

namespace {

std::optional<DifferencePlace> placeOf(const TreeModel& model, const QModelIndex& index)
{
  if (!index.isValid()) return {};
  const int column = std::max(index.column(), TreeModel::primary_column);
  return DifferencePlace{model.place(index).offset, TreeModel::treeColumn(column)};
}

}  // namespace

void MainWindow::goToNextDifference()
{
  if (!tree_->tree()) return;
  const auto found = nextDifference(*tree_->tree(), placeOf(*tree_, tree_view_->currentIndex()));
  if (!found) return;
  goTo(found->offset, static_cast<int>(found->column) + TreeModel::primary_column);
  if (found->wrapped) showHover(QStringLiteral("That was the last difference; this is the first again."));
}

void MainWindow::goToPreviousDifference()
{
  if (!tree_->tree()) return;
  const auto found = previousDifference(*tree_->tree(), placeOf(*tree_, tree_view_->currentIndex()));
  if (!found) return;
  goTo(found->offset, static_cast<int>(found->column) + TreeModel::primary_column);
  if (found->wrapped) showHover(QStringLiteral("That was the first difference; this is the last again."));
}

bool MainWindow::goToOffset(const QString& text)
{
  const auto offset = parseOffset(text);
  if (!offset) {
    showHover(QStringLiteral("“%1” is no offset. Write 0x1f000, 126976, 124K or 2M.").arg(text));
    return false;
  }
  if (!tree_->tree()) return false;
  if (!tree_->tree()->range().contains(*offset)) {
    showHover(QStringLiteral("0x%1 lies outside the object (%2).")
                  .arg(groupedHex(*offset, 8), sizeText(tree_->tree()->range().bytes())));
    return false;
  }
  goTo(*offset, std::max(tree_view_->currentIndex().column(), TreeModel::primary_column));
  tree_view_->setFocus();
  return true;
}

void MainWindow::focusGoTo()
{
  go_to_->setFocus(Qt::ShortcutFocusReason);
  go_to_->selectAll();
}

void MainWindow::copyEntry()
{
  const QModelIndex index = tree_view_->currentIndex();
  if (!index.isValid() || index.column() == TreeModel::range_column) return;
  const auto cell = tree_->tree()->cell(tree_->place(index), TreeModel::treeColumn(index.column()));
  QApplication::clipboard()->setText(plainHex(cell.word));
  showHover(QStringLiteral("Copied %1").arg(plainHex(cell.word)));
}

void MainWindow::toggleEmptyRuns()
{
  tree_->setEmptyRuns(fold_action_->isChecked() ? EmptyRuns::folded : EmptyRuns::shown);
}

}  // namespace morsel::gui
