// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/models/live_source.hpp"

#include <gtest/gtest.h>

#include <QCoreApplication>
#include <QSignalSpy>

#include "gui/tests/fake_target.hpp"

namespace morsel::gui {
namespace {

using session::Event;
using session::Exit;
using session::Failure;

class LiveSourceTest : public testing::Test {
 protected:
  LiveSourceTest()
      : source([this]() -> std::unique_ptr<session::Target> {
          ++opened;
          if (refusal) throw Failure(*refusal);
          auto made = std::make_unique<FakeTarget>();
          made->addDemo();
          target = made.get();
          return made;
        })
  {
  }
  AlignedTreePtr lastTree() const { return trees.last().first().value<AlignedTreePtr>(); }

  FakeTarget* target = nullptr;
  std::optional<Failure> refusal;
  int opened = 0;
  LiveSource source;
  QSignalSpy trees{&source, &LiveSource::treeRead};
  QSignalSpy lists{&source, &LiveSource::objectsRead};
  QSignalSpy unchanged{&source, &LiveSource::readUnchanged};
  QSignalSpy failures{&source, &LiveSource::failed};
  QSignalSpy losses{&source, &LiveSource::targetLost};
};

TEST_F(LiveSourceTest, ReadsTheChosenObject)
{
  source.open();
  ASSERT_EQ(lists.count(), 1);
  EXPECT_EQ(trees.count(), 0);
  source.choose("demo");
  ASSERT_EQ(trees.count(), 1);
  EXPECT_EQ(lastTree()->object().name, "demo");
}

TEST_F(LiveSourceTest, ReadsAgainByItselfAndReportsWhatHardwareWrote)
{
  source.open();
  source.choose("demo");
  ASSERT_TRUE(unchanged.wait());
  EXPECT_EQ(trees.count(), 1);
  target->entry<Amd64L4>(target->demo(), 0, 0, 0) |= Amd64Bits::dirty;
  ASSERT_TRUE(trees.count() == 2 || trees.wait());
  EXPECT_TRUE(lastTree()->cell({0, 0}, 0).word & Amd64Bits::dirty);
}

TEST_F(LiveSourceTest, ManyEventsInARowAreOneReading)
{
  source.open();
  const int before = target->objectRequests();
  for (int n = 0; n < 100; ++n) target->tell({Event::Kind::object_changed, "demo", {}});
  ASSERT_TRUE(lists.wait());
  EXPECT_EQ(target->objectRequests(), before + 1);
}

TEST_F(LiveSourceTest, AnObjectThatIsGoneIsShownNoMore)
{
  source.open();
  source.choose("demo");
  target->remove("demo");
  target->tell({Event::Kind::object_changed, "demo", {}});
  ASSERT_TRUE(trees.count() == 2 || trees.wait());
  EXPECT_EQ(lastTree(), nullptr);
}

TEST_F(LiveSourceTest, AFailureIsReportedAndReadingGoesOn)
{
  source.open();
  source.choose("demo");
  target->failRequests(Failure(Exit::usage, "list the objects", "the agent refused", "look at its log"));
  source.refresh();
  ASSERT_EQ(failures.count(), 1);
  EXPECT_EQ(failures.first().at(1).toString().toStdString(), "the agent refused");
  EXPECT_EQ(losses.count(), 0);
  EXPECT_TRUE(unchanged.wait());
}

TEST_F(LiveSourceTest, ALostTargetIsReportedAndCanBeOpenedAgain)
{
  source.open();
  target->tell({Event::Kind::target_lost, {}, "QEMU was killed"});
  ASSERT_TRUE(losses.wait());
  EXPECT_EQ(losses.first().first().toString().toStdString(), "QEMU was killed");
  source.refresh();
  EXPECT_EQ(opened, 2);
}

TEST_F(LiveSourceTest, ATargetThatCannotBeOpenedSaysWhy)
{
  refusal = Failure(Exit::usage, "attach to the VM \"test\"", "no such VM is running", "Start it: morselctl vm up");
  source.open();
  ASSERT_EQ(failures.count(), 1);
  EXPECT_EQ(failures.first().at(2).toString().toStdString(), "Start it: morselctl vm up");
  refusal.reset();
  source.refresh();
  EXPECT_EQ(lists.count(), 1);
}

TEST(SameTables, SeesOneChangedWord)
{
  FakeTarget target;
  target.addDemo();
  const auto first = capture(target), second = capture(target);
  EXPECT_TRUE(sameTables(first->snapshot(0), second->snapshot(0)));
  target.entry<Amd64L4>(target.demo(), 0, 0, 0) ^= Amd64Bits::dirty;
  EXPECT_FALSE(sameTables(first->snapshot(0), capture(target)->snapshot(0)));
}

}  // namespace
}  // namespace morsel::gui

int main(int argc, char** argv)
{
  testing::InitGoogleTest(&argc, argv);
  QCoreApplication application(argc, argv);
  return RUN_ALL_TESTS();
}
