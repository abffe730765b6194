// SPDX-License-Identifier: GPL-2.0-or-later
//
// The window in a real X server, on the embedded machine after its tour: keys come from xdotool by way of the server,
// and what is asserted are the pixels that the server has on its screen.
#include <gtest/gtest.h>

#include <QApplication>
#include <QDir>
#include <QImage>
#include <QLabel>
#include <QProcess>
#include <QScreen>
#include <QSignalSpy>
#include <QStandardPaths>
#include <QTest>

#include "engine/session/tour.hpp"
#include "engine/sim/embedded_target.hpp"
#include "gui/entry/entry_panel.hpp"
#include "gui/look/state_painter.hpp"
#include "gui/tests/xvfb.hpp"
#include "gui/tree/aligned_view.hpp"
#include "gui/window/main_window.hpp"

namespace morsel::gui {
namespace {

using inspect::DiffState;

class XWindowTest : public testing::Test {
 protected:
  void SetUp() override
  {
    if (server.display().empty()) GTEST_SKIP() << server.reason();
    if (QStandardPaths::findExecutable("xdotool").isEmpty()) GTEST_SKIP() << "xdotool is missing (apt install xdotool)";
    qputenv("DISPLAY", QByteArray::fromStdString(server.display()));
    qputenv("QT_QPA_PLATFORM", "xcb");
    application = std::make_unique<QApplication>(argument_count, arguments);
    window = std::make_unique<MainWindow>(
        [] {
          auto target = sim::make_embedded_target();
          session::run_tour(*target, {.keep = true});
          return target;
        },
        WindowOptions{{}, Theme::light, Remember::nothing});
    QSignalSpy shown(window.get(), &MainWindow::readingShown);
    window->show();
    ASSERT_TRUE(QTest::qWaitForWindowExposed(window.get()));
    window->start();
    ASSERT_TRUE(shown.count() > 0 || shown.wait());
    xdotool({"windowfocus", "--sync", QString::number(window->winId())});
    ASSERT_TRUE(QTest::qWaitFor([this] { return window->isActiveWindow(); }));
  }

  // Our own event loop must go on while the server hands the keys to us.
  void xdotool(const QStringList& words)
  {
    QProcess process;
    QSignalSpy ended(&process, &QProcess::finished);
    process.start("xdotool", words);
    ASSERT_TRUE(ended.count() > 0 || ended.wait(30000));
    EXPECT_EQ(process.exitCode(), 0) << process.readAllStandardError().toStdString();
  }
  bool waitForRow(session::AlignedRow row, int column)
  {
    return QTest::qWaitFor([&] {
      const QModelIndex index = window->treeView()->currentIndex();
      return index.isValid() && window->tree()->place(index) == row && index.column() == column;
    });
  }
  QImage screen() const { return QGuiApplication::primaryScreen()->grabWindow(0).toImage(); }
  // For people: scripts/pictures takes it from there.
  bool keepPicture(const QString& file) const
  {
    const QDir folder(MORSEL_PICTURES);
    return folder.mkpath(".") && screen().copy(window->frameGeometry()).save(folder.filePath(file));
  }
  QColor fillOnScreen(const QModelIndex& index) const
  {
    AlignedView* view = window->treeView();
    const QRect chip = view->chipRectOf(index);
    return screen().pixelColor(view->viewport()->mapToGlobal(chipFillPoint(chip)));
  }

  static inline int argument_count = 1;
  static inline char name[] = "x_window_test";
  static inline char* arguments[] = {name, nullptr};
  Xvfb server;
  std::unique_ptr<QApplication> application;
  std::unique_ptr<MainWindow> window;
};

TEST_F(XWindowTest, KeysFromTheServerLeadToTheStaleEntry)
{
  const AlignedTreePtr& tree = window->tree()->tree();
  ASSERT_EQ(tree->columns(), 2u);
  const inspect::DiffRun* stale = tree->diff(1).next_difference(0);
  ASSERT_NE(stale, nullptr);
  ASSERT_EQ(stale->state, DiffState::stale);
  const session::AlignedRow row{0, stale->range.start};

  // Away from it by the keyboard, then back by the key for the next difference.
  xdotool({"key", "--delay", "20", "End"});
  ASSERT_TRUE(QTest::qWaitFor([&] { return window->tree()->place(window->treeView()->currentIndex()) != row; }));
  xdotool({"key", "F8"});
  ASSERT_TRUE(waitForRow(row, 2));

  const QModelIndex index = window->treeView()->currentIndex();
  EXPECT_EQ(index.data().toString().left(1).toStdString(), "↻");
  EXPECT_TRUE(window->entryPanel()->headline().contains("view 1 ept"));
  EXPECT_NE(window->findChild<QLabel*>("entry_explanation")->text().indexOf("stale"), -1);
  ASSERT_TRUE(QTest::qWaitFor([&] { return fillOnScreen(index) == stateFill(DiffState::stale, Theme::light); }))
      << fillOnScreen(index).name().toStdString();
  EXPECT_TRUE(keepPicture("x-window.png"));

  // The row above is reached by an arrow, in the same tree.
  xdotool({"key", "Up"});
  ASSERT_TRUE(waitForRow({1, align_down(row.offset, u64{2} << 20)}, 2));
}

TEST_F(XWindowTest, TypingAnOffsetGoesThere)
{
  xdotool({"key", "ctrl+g"});
  xdotool({"type", "--delay", "20", "0x201000"});
  xdotool({"key", "Return"});
  ASSERT_TRUE(waitForRow({0, 0x201000}, 2));
  const QModelIndex index = window->treeView()->currentIndex();
  const auto state = static_cast<DiffState>(index.data(TreeModel::state_role).toInt());
  EXPECT_EQ(state, DiffState::same);
  EXPECT_TRUE(QTest::qWaitFor([&] { return fillOnScreen(index) == stateFill(state, Theme::light); }));
}

}  // namespace
}  // namespace morsel::gui
