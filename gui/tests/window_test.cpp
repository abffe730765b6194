// SPDX-License-Identifier: GPL-2.0-or-later
//
// The whole window, off-screen, on the fake target: what its rows and panels say, and what colours are painted where.
#include "gui/window/main_window.hpp"

#include <gtest/gtest.h>

#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QLabel>
#include <QLineEdit>
#include <QSignalSpy>
#include <QTableView>
#include <QTest>

#include "gui/entry/entry_panel.hpp"
#include "gui/look/state_painter.hpp"
#include "gui/map/map_panel.hpp"
#include "gui/map/map_strip.hpp"
#include "gui/objects/object_panel.hpp"
#include "gui/tests/fake_target.hpp"
#include "gui/tree/aligned_view.hpp"

namespace morsel::gui {
namespace {

using inspect::DiffState;
using session::Exit;
using session::Failure;

enum class Content { demo, nothing, refused };

class WindowTest : public testing::Test {
 protected:
  void open(Content content, Theme theme = Theme::light)
  {
    const auto factory = [this, content]() -> std::unique_ptr<session::Target> {
      if (content == Content::refused)
        throw Failure(Exit::usage, "attach to the VM", "it does not run", "morselctl vm up");
      auto made = std::make_unique<FakeTarget>();
      if (content == Content::demo) made->addDemo();
      target = made.get();
      return made;
    };
    window = std::make_unique<MainWindow>(factory, WindowOptions{{}, theme, Remember::nothing});
    QSignalSpy shown(window.get(), &MainWindow::readingShown);
    QSignalSpy failed(window.get(), &MainWindow::openFailed);
    window->show();
    window->start();
    QSignalSpy& expected = content == Content::refused ? failed : shown;
    ASSERT_TRUE(expected.count() > 0 || expected.wait());
    QCoreApplication::processEvents();
  }
  std::string label(const char* name) const { return window->findChild<QLabel*>(name)->text().toStdString(); }
  QModelIndex page(u64 number, int column) const { return window->tree()->indexOf({0, number * page_bytes}, column); }
  void key(Qt::Key k, Qt::KeyboardModifiers modifiers = Qt::NoModifier)
  {
    QTest::keyClick(window->treeView(), k, modifiers);
  }
  QModelIndex current() const { return window->treeView()->currentIndex(); }
  u64 currentPage() const { return window->tree()->place(current()).offset / page_bytes; }

  std::unique_ptr<MainWindow> window;
  FakeTarget* target = nullptr;
};

TEST_F(WindowTest, OpensOnTheFirstDifference)
{
  open(Content::demo);
  EXPECT_EQ(currentPage(), 4u);
  EXPECT_EQ(current().column(), 2);
  EXPECT_TRUE(window->entryPanel()->headline().contains("view 1 ept · level 0 entry of 0x0000 4000 + 4 KiB"));
  EXPECT_TRUE(window->entryPanel()->headline().contains("leaf 0x7f004000 rw-"));
  EXPECT_NE(label("summary").find("4 pages wrong"), std::string::npos);
  EXPECT_EQ(window->windowTitle().toStdString(), "demo – fake – Morselscope");
}

TEST_F(WindowTest, ShowsObjectsAndTheirSizes)
{
  open(Content::demo);
  const auto index = window->objectPanel()->objects()->index(0);
  EXPECT_EQ(index.data().toString().toStdString(), "demo");
  EXPECT_EQ(index.data(ObjectModel::summary_role).toString().toStdString(), "4 MiB · 1 view");
}

TEST_F(WindowTest, PaintsEveryStateInItsColour)
{
  for (Theme theme : {Theme::light, Theme::dark}) {
    open(Content::demo, theme);
    AlignedView* view = window->treeView();
    for (u64 n = 0; n < 8; ++n) {
      const QModelIndex index = page(n, 2);
      view->scrollTo(index);
      const QImage image = view->viewport()->grab().toImage();
      const QRect chip = view->chipRectOf(index);
      const auto state = static_cast<DiffState>(index.data(TreeModel::state_role).toInt());
      const QColor fill = stateFill(state, theme);
      int found = 0;
      for (int y = chip.top() + 2; y < chip.bottom() - 1; ++y)
        for (int x = chip.left() + 2; x < chip.right() - 1; ++x)
          if (image.pixelColor(x, y) == fill) ++found;
      EXPECT_GT(found, 60) << "page " << n << " " << stateName(state).toStdString();
    }
  }
}

TEST_F(WindowTest, KeysWalkFromDifferenceToDifference)
{
  open(Content::demo);
  for (u64 expected : {5, 6, 7, 4}) {
    key(Qt::Key_F8);
    EXPECT_EQ(currentPage(), expected);
  }
  EXPECT_NE(label("hover").find("first again"), std::string::npos);
  key(Qt::Key_F8, Qt::ShiftModifier);
  EXPECT_EQ(currentPage(), 7u);
  EXPECT_NE(label("entry_explanation").find("stale"), std::string::npos);
}

TEST_F(WindowTest, TabGoesFromTreeToTreeAndTheEntryFollows)
{
  open(Content::demo);
  key(Qt::Key_Backtab, Qt::ShiftModifier);
  EXPECT_EQ(current().column(), TreeModel::primary_column);
  EXPECT_TRUE(window->entryPanel()->headline().contains("primary amd64"));
  EXPECT_EQ(window->entryPanel()->fields()->index(0, 0).data().toString().toStdString(), "P");
  key(Qt::Key_Tab);
  EXPECT_TRUE(window->entryPanel()->headline().contains("view 1 ept"));
  EXPECT_EQ(window->entryPanel()->fields()->index(0, 0).data().toString().toStdString(), "R");
}

TEST_F(WindowTest, ArrowsKeepTheChosenTree)
{
  open(Content::demo);
  key(Qt::Key_Down);
  EXPECT_EQ(currentPage(), 5u);
  EXPECT_EQ(current().column(), 2);
}

TEST_F(WindowTest, GoesToAnOffsetAndRefusesOthersInWords)
{
  open(Content::demo);
  EXPECT_TRUE(window->goToOffset("0x7000"));
  EXPECT_EQ(currentPage(), 7u);
  EXPECT_FALSE(window->goToOffset("4M"));
  EXPECT_NE(label("hover").find("outside the object (4 MiB)"), std::string::npos);
  EXPECT_FALSE(window->goToOffset("abc"));
  EXPECT_NE(label("hover").find("is no offset"), std::string::npos);
  EXPECT_EQ(currentPage(), 7u);
  auto* line = window->findChild<QLineEdit*>("go_to");
  key(Qt::Key_G, Qt::ControlModifier);
  QTest::keyClicks(line, "8K");
  QTest::keyClick(line, Qt::Key_Return);
  EXPECT_EQ(currentPage(), 2u);
}

TEST_F(WindowTest, CopiesTheChosenWordAsHex)
{
  open(Content::demo);
  window->goToOffset("0x7000");
  key(Qt::Key_C, Qt::ControlModifier);
  EXPECT_EQ(QApplication::clipboard()->text().toStdString(), "0x000000007f007033");
}

TEST_F(WindowTest, FollowsChangesThatAreToldAndThoseThatAreNot)
{
  open(Content::demo);
  window->goToOffset("0x7000");
  QSignalSpy shown(window.get(), &MainWindow::readingShown);
  target->put<EptL4>(target->demo(), 1, 7 * page_bytes, 0, 0);
  ASSERT_TRUE(shown.wait());
  EXPECT_EQ(currentPage(), 7u);
  EXPECT_EQ(page(7, 2).data().toString().toStdString(), "hole");
  EXPECT_NE(label("summary").find("3 pages wrong"), std::string::npos);

  target->addView<Npt>(target->demo());
  target->tell({session::Event::Kind::object_changed, "demo", {}});
  while (window->tree()->columnCount() != 4) ASSERT_TRUE(shown.wait());
  EXPECT_EQ(currentPage(), 7u);
  EXPECT_EQ(window->mapPanel()->strips().size(), 2u);
}

TEST_F(WindowTest, TheMapShowsTheWorstStateUnderAPixel)
{
  open(Content::demo);
  MapStrip* strip = window->mapPanel()->strips().front();
  EXPECT_EQ(strip->treeColumn(), 1u);
  bool stale = false;
  for (int x = 0; x < strip->width() / 20; ++x) stale = stale || strip->stateAtPixel(x) == DiffState::stale;
  EXPECT_TRUE(stale);
  EXPECT_EQ(strip->stateAtPixel(strip->width() / 2), DiffState::hole);
  QTest::mouseClick(strip, Qt::LeftButton, {}, {strip->width() / 2, strip->height() / 2});
  EXPECT_GE(window->tree()->spanOf(current()).end, u64{2} << 20);
  EXPECT_NE(label("counts_1").find("not clean"), std::string::npos);
}

TEST_F(WindowTest, AnomaliesAreSaidAboveTheTree)
{
  open(Content::demo);
  const auto* banner = window->findChild<QLabel*>("banner");
  EXPECT_FALSE(banner->isVisible());
  QSignalSpy shown(window.get(), &MainWindow::readingShown);
  target->put<EptL4>(target->demo(), 1, 2 << 20, 1, EptL4::make_table(PhysAddr{u64{1} << 40}));
  ASSERT_TRUE(shown.wait());
  EXPECT_TRUE(banner->isVisible());
  EXPECT_NE(label("banner").find("<b>view 1 ept</b>: 1 anomaly; the first: "), std::string::npos) << label("banner");
  EXPECT_NE(label("banner").find("at 0x0020 0000, level 1"), std::string::npos) << label("banner");
}

TEST_F(WindowTest, ATargetWithoutObjectsExplainsItself)
{
  open(Content::nothing);
  EXPECT_NE(window->treeView()->property("empty_text").toString().toStdString().find("morselctl object create"),
            std::string::npos);
  EXPECT_EQ(label("summary"), "");
}

TEST_F(WindowTest, ATargetThatCannotBeOpenedSaysWhatToDo)
{
  open(Content::refused);
  EXPECT_NE(label("banner").find("it does not run"), std::string::npos);
  EXPECT_NE(label("banner").find("morselctl vm up"), std::string::npos);
  EXPECT_EQ(label("live"), "not connected");
}

TEST_F(WindowTest, ALostTargetLeavesTheLastReadingAndSaysSo)
{
  open(Content::demo);
  target->tell({session::Event::Kind::target_lost, {}, "QEMU was killed"});
  QSignalSpy failed(window.get(), &MainWindow::openFailed);
  ASSERT_TRUE(failed.wait());
  EXPECT_NE(label("banner").find("QEMU was killed"), std::string::npos);
  EXPECT_NE(label("live").find("lost"), std::string::npos);
  EXPECT_EQ(page(7, 2).data().toString().toStdString(), "↻ 0000 0000 7f00 7033 rw- --");
}

TEST_F(WindowTest, NoColumnOfWordsIsElided)
{
  open(Content::demo);
  AlignedView* view = window->treeView();
  const int word = QFontMetrics(monoFont()).horizontalAdvance("0000 0000 0000 0000");
  for (int c = TreeModel::primary_column; c < window->tree()->columnCount(); ++c)
    EXPECT_GT(view->columnWidth(c), word + chip_width + 40) << c;
}

TEST_F(WindowTest, TheRangeStaysInSightWhenManyViewsAreScrolledSideways)
{
  open(Content::demo);
  QSignalSpy shown(window.get(), &MainWindow::readingShown);
  for (int n = 0; n < 5; ++n) target->addView<Npt>(target->demo());
  target->tell({session::Event::Kind::object_changed, "demo", {}});
  while (window->tree()->columnCount() != 8) ASSERT_TRUE(shown.wait());
  AlignedView* view = window->treeView();
  const QRect range(0, view->visualRect(page(2, 0)).top(), view->columnWidth(0), view->visualRect(page(2, 0)).height());
  const QImage before = view->viewport()->grab(range).toImage();
  view->setCurrentIndex(page(3, 7));
  EXPECT_LT(view->visualRect(page(2, 0)).right(), range.right());
  EXPECT_EQ(view->viewport()->grab(range).toImage(), before);
  EXPECT_EQ(view->indexAt(range.center()), page(2, 0));
  EXPECT_GE(view->visualRect(current()).left(), range.right());
}

TEST_F(WindowTest, EveryActionHasAPictureOrAReasonAndAKey)
{
  open(Content::demo);
  int icons = 0;
  for (const QAction* action : window->findChildren<QAction*>()) {
    if (action->property("icon_name").toString().isEmpty()) continue;
    ++icons;
    const QImage icon = action->icon().pixmap(24, 24).toImage();
    bool painted = false;
    for (int y = 0; y < icon.height(); ++y)
      for (int x = 0; x < icon.width(); ++x) painted = painted || icon.pixelColor(x, y).alpha() > 128;
    EXPECT_TRUE(painted) << action->text().toStdString();
    EXPECT_FALSE(action->shortcut().isEmpty()) << action->text().toStdString();
  }
  EXPECT_GE(icons, 8);
}

}  // namespace
}  // namespace morsel::gui

int main(int argc, char** argv)
{
  testing::InitGoogleTest(&argc, argv);
  qputenv("QT_QPA_PLATFORM", "offscreen");
  QApplication application(argc, argv);
  return RUN_ALL_TESTS();
}
