// SPDX-License-Identifier: GPL-2.0-or-later
//
// Commands on memory that is only looked at.
#include "engine/session/memory_target.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <tuple>

#include "engine/session/session.hpp"
#include "engine/session/tests/dump_builder.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {
namespace {

class MemoryTargetTest : public testing::Test {
 protected:
  MemoryTargetTest() : path(testing::TempDir() + "/dump-" + std::to_string(::getpid()))
  {
    const std::vector<u8> bytes = small_dump();
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
    session.emplace(open_dump(path, {}));
  }
  ~MemoryTargetTest() override { ::unlink(path.c_str()); }

  Reply run(const std::string& line) { return session->execute_line(line); }
  std::string refusal(const std::string& line)
  {
    try {
      run(line);
    } catch (const Failure& failure) {
      return failure.found();
    }
    return "accepted";
  }

  const std::string path;
  std::optional<Session> session;
};

TEST_F(MemoryTargetTest, ShowsTheAddressSpaceOfTheCpuFolded)
{
  const Reply reply = run("tree cpu0");
  EXPECT_EQ(reply.status, 0);
  const Json& rows = reply.facts["rows"];
  EXPECT_LT(rows.size(), 40u) << reply.text;
  EXPECT_NE(reply.text.find("leaf 0x108000 rw- U A D"), std::string::npos) << reply.text;
  EXPECT_NE(reply.text.find("absent 0x7ff8000012340000"), std::string::npos) << reply.text;
  EXPECT_NE(reply.text.find("0xffffffff81000000..0xffffffff81200000"), std::string::npos) << reply.text;
  EXPECT_NE(reply.text.find("0x10000000000000000"), std::string::npos) << reply.text;
  // Nothing folds across the hole of addresses that are not canonical.
  for (const Json& row : rows) EXPECT_FALSE(row["start"] < u64{1} << 47 && row["end"] > u64{1} << 47) << row;
}

TEST_F(MemoryTargetTest, ShowsASharedTableOnceAndALoopAsSuch)
{
  const Reply reply = run("tree cpu0 --half kernel");
  std::size_t shared = 0, leaves = 0;
  for (const Json& row : reply.facts["rows"]) {
    const Json& cell = row["cells"][0];
    if (cell.contains("shown_before")) shared += row["count"].get<std::size_t>();
    if (cell.value("address", "") == "0x2000000") ++leaves;
  }
  EXPECT_EQ(shared, 3u) << reply.text;
  EXPECT_EQ(leaves, 1u) << reply.text;
  EXPECT_NE(reply.text.find(" ×2        table 0x10b000 rwx A (shown above)"), std::string::npos) << reply.text;
  EXPECT_EQ(reply.facts["columns"][0]["anomaly_count"], 1) << reply.text;
  EXPECT_EQ(reply.facts["columns"][0]["anomalies"][0]["kind"], "table reached twice");
  // All places are walked alike.
  for (const char* address : {"0xffffff8040a09000", "0xffffff8080a09000", "0xffffff81c0a09000"})
    EXPECT_EQ(run(std::string("walk cpu0 primary ") + address).facts["target"], "0x2000000") << address;
  run("root add cpu0 0x101000 --beside");
  EXPECT_EQ(run("diff cpu0 --half kernel").facts["views"][0]["pages"]["same"], 512 + 4) << run("diff cpu0").text;
}

TEST_F(MemoryTargetTest, TakesRangesAndAddressesAsTheKernelWritesThem)
{
  const Reply part = run("tree cpu0 --range 0xffffffff81000000+2M");
  EXPECT_EQ(part.facts["range"]["start"], SmallSpace::kernel_page);
  EXPECT_EQ(part.facts["rows"].size(), 3u) << part.text;
  EXPECT_EQ(run("tree cpu0 --range 0xffffffff80000000..0xffffffffffffffff").status, 0);
  EXPECT_NE(refusal("tree cpu0 --range 0x800000000000+4K").find("no range of addresses"), std::string::npos);

  EXPECT_EQ(run("tree cpu0 --half user").facts["range"]["end"], u64{1} << 47);
  EXPECT_EQ(run("tree cpu0 --half kernel").facts["range"]["start"], u64{0xffff} << 47 << 1 | u64{1} << 47);
  EXPECT_NE(refusal("tree cpu0 --half user --range 0..4K"), "accepted");

  const Reply kernel = run("walk cpu0 primary 0xffffffff81000123 exec");
  EXPECT_EQ(kernel.status, 0) << kernel.text;
  EXPECT_EQ(kernel.facts["target"], "0x1000123");
  EXPECT_EQ(kernel.facts["rights"], "r-x");
  const Reply user = run("walk cpu0 primary 0x400008 write");
  EXPECT_EQ(user.facts["target"], "0x108008");
  EXPECT_EQ(user.facts["rights"], "rw- U");
  EXPECT_EQ(run("walk cpu0 primary 0x401000").facts["end"], "not present");
  EXPECT_NE(refusal("walk cpu0 primary 0x800000000000"), "accepted");
}

TEST_F(MemoryTargetTest, ComparesTwoRoots)
{
  EXPECT_EQ(run("root add cpu0 0x109000 --beside").facts["view"], 1);
  EXPECT_EQ(run("diff cpu0 --half user").status, 0);  // nothing but what the other does not map
  const Reply diff = run("diff cpu0 --behind");
  EXPECT_EQ(diff.status, 1) << diff.text;  // the loop is none from the other root
  const Json& pages = diff.facts["views"][0]["pages"];
  EXPECT_EQ(pages["same"], 512 + 4) << diff.text;  // the kernel's
  EXPECT_EQ(pages["unfilled"], 1) << diff.text;
  EXPECT_EQ(run("tree cpu0").facts["columns"].size(), 2u);
}

TEST_F(MemoryTargetTest, ComparesTheRightsOfTwoRoots)
{
  SmallSpace space;  // the other process may only read the page
  space.put(SmallSpace::base + 0xa000, 0, (SmallSpace::base + 0xd000) | 0x67);
  space.put(SmallSpace::base + 0xd000, 2, (SmallSpace::base + 0xe000) | 0x67);
  space.put(SmallSpace::base + 0xe000, 0, SmallSpace::frame | 0x8000'0000'0000'0065);
  DumpBuilder dump;
  dump.memory(SmallSpace::base, space.words);
  const std::vector<u8> bytes = dump.build();
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  session.emplace(open_dump(path, {}));
  for (const auto& [first, second, status] :
       {std::tuple("0x101000", "0x109000", 0), std::tuple("0x109000", "0x101000", 1)}) {
    run(std::string("root add a ") + first);
    run(std::string("root add a ") + second + " --beside");
    const Reply diff = run("diff a --range 0x400000 --behind");
    EXPECT_EQ(diff.status, status) << "only what the other allows more is unclean";
    ASSERT_EQ(diff.facts["views"][0]["runs"].size(), 1u);
    EXPECT_EQ(diff.facts["views"][0]["runs"][0]["state"], "rights");
    EXPECT_EQ(diff.facts["views"][0]["runs"][0]["widened"], status == 1);
    run("root drop a");
  }
}

TEST_F(MemoryTargetTest, FindsTheOtherProcess)
{
  const Json roots = run("root find cpu0 --add").facts["roots"];
  ASSERT_EQ(roots.size(), 2u);
  EXPECT_EQ(roots[0]["name"], "cpu0");
  EXPECT_EQ(roots[1]["root"], "0x109000");
  EXPECT_EQ(run("tree p1").status, 0);
  EXPECT_EQ(run("object list").facts["objects"].size(), 2u);
  run("root drop p1");
  EXPECT_EQ(run("object list").facts["objects"].size(), 1u);
}

TEST_F(MemoryTargetTest, LeavesANameThatIsTakenToItsOwner)
{
  run("root add p1 0x102000");
  const Json roots = run("root find cpu0 --add").facts["roots"];
  ASSERT_EQ(roots.size(), 2u);
  EXPECT_EQ(roots[1]["name"], "p2");
  EXPECT_EQ(run("root find cpu0 --add").facts["roots"], roots) << "it has its name already";
  EXPECT_EQ(run("object show p1").facts["root"], "0x102000");
}

TEST_F(MemoryTargetTest, TextIsRenderedFromTheJsonAlone)
{
  for (const char* line : {"root add a cpu0", "root add a 0x109000 --beside", "root find cpu0", "object list", "tree a",
                           "diff a --behind", "walk a 1 0x400000", "target", "root drop a"}) {
    const Command& command = session->table().find(split_line(line));
    const Reply plain = run(line);
    EXPECT_EQ(command.render(Json::parse(plain.facts.dump()), {}), plain.text) << line;
    EXPECT_FALSE(plain.text.empty()) << line;
  }
}

TEST_F(MemoryTargetTest, TellsItsMemoryAndRegisters)
{
  const Reply reply = run("target");
  EXPECT_EQ(reply.facts["kind"], "dump");
  EXPECT_EQ(reply.facts["memory"][0]["start"], SmallSpace::base);
  EXPECT_EQ(reply.facts["cpus"][0]["cr3"], "0x101005");
}

TEST_F(MemoryTargetTest, RefusesRootsThatCannotBe)
{
  EXPECT_NE(refusal("root add a 0x99000000").find("outside the memory"), std::string::npos);
  EXPECT_NE(refusal("root add a 0x1ff000").find("outside the memory"), std::string::npos);
  EXPECT_NE(refusal("root add a 0x105000 --format riscv_sv39x4").find("multiple of 16 KiB"), std::string::npos);
  EXPECT_NE(refusal("root add cpu0 0x109000").find("of that name"), std::string::npos);
  EXPECT_NE(refusal("root add a cpu7").find("not known"), std::string::npos);
  EXPECT_NE(refusal("root add a 0x101026 --format ept").find("EPTP of 5 levels"), std::string::npos);
  EXPECT_EQ(run("root add a 0x10105e --format ept").facts["root"], "0x101000");
  EXPECT_EQ(run("root add b 0x8000000000000101 --format riscv_sv39").facts["root"], "0x101000");
  EXPECT_NE(refusal("root find a").find("no kernel's half"), std::string::npos);
}

TEST_F(MemoryTargetTest, RefusesEverythingThatWouldWrite)
{
  for (const char* line :
       {"object create a 4M", "object destroy cpu0", "object populate cpu0 0..4K", "object unmap cpu0 0..4K",
        "object protect cpu0 0..4K r", "object split cpu0 0..2M", "object merge cpu0 0..2M",
        "object migrate cpu0 0..4K", "object harvest cpu0 0..4K", "object clone cpu0 b", "view add cpu0 ept",
        "access cpu0 primary 0x400000 read", "inject add publish drop", "run true", "object ranges cpu0",
        "object ranges cpu0 --dirty"})
    EXPECT_NE(refusal(line).find("is only looked at"), std::string::npos) << line;
  run("root add cpu0 0x109000 --beside");
  EXPECT_NE(refusal("view drop cpu0 1").find("is only looked at"), std::string::npos);
  EXPECT_THROW(session->target().start_program({"true"}), Failure);
  EXPECT_THROW(session->target().end_program(1), Failure);
  EXPECT_NE(refusal("journal on"), "accepted");
  EXPECT_NE(refusal("stop"), "accepted");
  EXPECT_EQ(run("verify").status, 0);
}

TEST_F(MemoryTargetTest, HasNothingThatMachinesOfOursHave)
{
  const Json counted = run("counters").facts;
  for (const auto& [name, value] : counted.items()) EXPECT_EQ(value, 0) << name;
  EXPECT_TRUE(run("inject list").facts["rules"].empty());
  EXPECT_TRUE(run("inject clear").facts["rules"].empty());
  EXPECT_EQ(run("kernel-log").facts["text"], "");
}

TEST_F(MemoryTargetTest, NamesTheRootsThatThereAre)
{
  EXPECT_EQ(session->target().object("cpu0").root, PhysAddr{SmallSpace::root});
  try {
    session->target().object("cpu1");
    ADD_FAILURE() << "there is one";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.advice(), "Did you mean 'cpu0'?");
  }
}

TEST_F(MemoryTargetTest, ACpuThatDoesNotPageHasNoRoot)
{
  EXPECT_NE(refusal("root add a cpu0 --format amd64").find("say the format themselves"), std::string::npos);
  DumpBuilder dump;
  dump.note("QEMU", qemu_note(0xfff0, 0x10, 0, 0));
  dump.memory(SmallSpace::base, SmallSpace().words);
  const std::vector<u8> bytes = dump.build();
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  session.emplace(open_dump(path, {}));
  EXPECT_TRUE(run("object list").facts["objects"].empty());
  EXPECT_NE(refusal("root add a cpu0").find("does not walk tables of long mode"), std::string::npos);
}

TEST_F(MemoryTargetTest, IsRefusedWhereThereIsNoFile)
{
  EXPECT_THROW(open_dump("/nonexistent/dump", {}), Failure);
  EXPECT_THROW(open_dump("/dev/null", {}), Failure);
  EXPECT_THROW(open_dump("/tmp", {}), Failure);
}

}  // namespace
}  // namespace morsel::session
