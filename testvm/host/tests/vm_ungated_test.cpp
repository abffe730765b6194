// SPDX-License-Identifier: GPL-2.0-or-later
//
// Who may not wait at the gate of a real kernel passes, and the journal says so.
#include <gtest/gtest.h>

#include "engine/session/session.hpp"
#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::testvm {
namespace {

// Who has one of the file system's locks.
class VmUngatedTest : public testing::Test {
 protected:
  session::Reply run(const std::string& line) { return session_.execute_line(line); }
  void close_gate()
  {
    run("journal on");
    run("stop");
  }
  // Since the gate was closed. It stays closed.
  std::string expect_ungated(const std::string& what)
  {
    const session::Reply passed = run("journal --limit 1000");
    EXPECT_FALSE(passed.facts["records"].empty()) << what;
    for (const session::Json& record : passed.facts["records"])
      EXPECT_EQ(record["flags"].back(), "ungated") << what << record;
    return passed.text;
  }
  void open_gate()
  {
    run("run");
    run("journal off");
  }

 private:
  session::Session session_{VmTarget::start(test_config())};
};

TEST_F(VmUngatedTest, WhoMayNotWaitPassesAndTheJournalSaysSo)
{
  close_gate();
  EXPECT_EQ(run("object create o 64K").facts.value("started", ""), "") << "it has not waited";
  const std::string text = expect_ungated("the folder is locked");
  EXPECT_NE(text.find("[ungated]"), std::string::npos) << text;
  const session::Reply waits = run("object populate o 0..4K");
  EXPECT_EQ(waits.facts["waits_at"]["waits"], "at_point") << waits.text;
  open_gate();
}

TEST_F(VmUngatedTest, SizesAndEndsOfObjectsPassToo)
{
  run("object create o 64K");
  run("object populate o 0..64K");
  run("view add o ept");
  run("access o 1 0x8000 read");
  close_gate();
  run("run truncate -s 5000 /morsel/o");
  const std::string shrunk = expect_ungated("the inode is locked");
  for (const char* point : {" resize", " invalidate", " retire", " find"})
    EXPECT_NE(shrunk.find(point), std::string::npos) << point << " in " << shrunk;
  open_gate();
  close_gate();
  EXPECT_EQ(run("object destroy o").facts.value("started", ""), "") << "it has not waited";
  EXPECT_NE(expect_ungated("it is nobody's any more").find(" unlist"), std::string::npos);
  open_gate();
}

}  // namespace
}  // namespace morsel::testvm
