// SPDX-License-Identifier: GPL-2.0-or-later
//
// The window on a real test VM, live: what others do to the guest's tables is seen without asking for it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <QApplication>
#include <QLabel>
#include <QTest>

#include "gui/models/state_style.hpp"
#include "gui/tree/aligned_view.hpp"
#include "gui/window/main_window.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::gui {
namespace {

using inspect::DiffState;

constexpr int hang_guard_ms = 60'000;

class VmWindowTest : public testing::Test {
 protected:
  void SetUp() override
  {
    const std::string name = "window-" + std::to_string(getpid());
    vm = testvm::VmTarget::start(testvm::config_of_build(name));
    vm->create_object("seen", 4 * mebibyte, {});
    vm->add_view("seen", FormatId::ept);
    vm->populate("seen", {0, 4 * page_bytes}, rights_rw, 0);
    vm->access({.object = "seen", .view = 1, .offset = 0});
    vm->access({.object = "seen", .view = 1, .offset = page_bytes});
    window = std::make_unique<MainWindow>([name] { return testvm::VmTarget::attach(name); },
                                          WindowOptions{"seen", Theme::light, Remember::nothing});
    window->show();
    window->start();
    ASSERT_TRUE(eventually([this] { return window->tree()->columnCount() == 3; }));
  }
  template <class Condition>
  static bool eventually(Condition condition)
  {
    return QTest::qWaitFor(condition, hang_guard_ms);
  }
  QModelIndex page(u64 offset, int column) const { return window->tree()->indexOf({0, offset}, column); }
  DiffState state(u64 offset) const
  {
    return static_cast<DiffState>(page(offset, 2).data(TreeModel::state_role).toInt());
  }
  QString label(const char* name) const { return window->findChild<QLabel*>(name)->text(); }

  std::unique_ptr<testvm::VmTarget> vm;
  std::unique_ptr<MainWindow> window;
};

TEST_F(VmWindowTest, FollowsTheGuestAndItsEnd)
{
  EXPECT_EQ(state(0), DiffState::same);
  EXPECT_EQ(state(page_bytes), DiffState::same);
  EXPECT_EQ(state(2 * page_bytes), DiffState::unfilled);
  EXPECT_TRUE(label("target").contains("Linux 6.1")) << label("target").toStdString();

  // The module tells of a request's changes.
  vm->inject({.point = SyncPoint::invalidate, .action = MORSEL_FAULT_DROP, .tree = TreeId{1}});
  vm->unmap("seen", {page_bytes, 2 * page_bytes});
  ASSERT_TRUE(eventually([this] { return state(page_bytes) == DiffState::stale; }));
  QTest::keyClick(window->treeView(), Qt::Key_F8);
  EXPECT_EQ(window->tree()->place(window->treeView()->currentIndex()).offset, page_bytes);
  EXPECT_EQ(window->treeView()->currentIndex().data().toString().left(1), stateSign(DiffState::stale));

  // Nobody tells of what a process does through its mapping: the pages come by its faults.
  const auto touched = vm->run_program({"morsel-touch", "/morsel/seen", "write:0x200000=7"});
  ASSERT_EQ(touched.exit_status, 0) << touched.errors;
  ASSERT_TRUE(eventually([this] {
    const QModelIndex index = page(2 * mebibyte, TreeModel::primary_column);
    return index.isValid() && index.data().toString().endsWith("rw- AD");
  }));

  vm.reset();
  ASSERT_TRUE(eventually([this] { return label("live").contains("lost"); }));
  EXPECT_EQ(state(page_bytes), DiffState::stale);
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
