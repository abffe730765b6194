// SPDX-License-Identifier: GPL-2.0-or-later
//
// Dumps as somebody at a terminal opens them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/session/tests/dump_builder.hpp"
#include "scripts/morselctl/tests/program.hpp"

namespace morsel::ctl {
namespace {

using Json = nlohmann::json;

class Dumps : public ::testing::Test {
 protected:
  Dumps() : path(testing::TempDir() + "/morselctl-dump-" + std::to_string(getpid())) { write(session::small_dump()); }
  ~Dumps() override { unlink(path.c_str()); }

  void write(const std::vector<u8>& bytes) const
  {
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  }

  const std::string path;
};

TEST_F(Dumps, ShowWhatTheCpuWalksAndAnyRootBesides)
{
  const Ended tree = morselctl({"--dump", path, "tree", "cpu0"});
  EXPECT_EQ(tree.status, 0) << tree.errors;
  EXPECT_NE(tree.output.find("0xffffffff81000000"), std::string::npos) << tree.output;
  const Ended other = morselctl({"--dump", path, "--root", "0x109000", "--json", "object", "list"});
  const Json objects = Json::parse(other.output).at("objects");
  ASSERT_EQ(objects.size(), 2u);
  EXPECT_EQ(objects.at(1).at("name"), "root");
  EXPECT_EQ(objects.at(1).at("root"), "0x109000");
}

TEST_F(Dumps, AreOpenedByACommandAsWell)
{
  const Ended e = morselctl({"--embedded", "dump", "open", path, ";", "walk", "cpu0", "primary", "0x400000", ";",
                             "object", "create", "a", "4M"});
  EXPECT_EQ(e.status, 2);
  EXPECT_NE(e.output.find("translated 0x108000"), std::string::npos) << e.output;
  EXPECT_NE(e.errors.find("is only looked at"), std::string::npos) << e.errors;
  EXPECT_NE(morselctl({"--session", "none", "dump", "open", path}).errors.find("keeps its target"), std::string::npos);
}

TEST_F(Dumps, OfRawMemoryWantALayout)
{
  const std::vector<u64> words = session::SmallSpace().words;
  const auto* const begin = reinterpret_cast<const u8*>(words.data());
  write({begin, begin + words.size() * sizeof(u64)});
  const Ended unknown = morselctl({"--dump", path, "target"});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_NE(unknown.errors.find("--layout"), std::string::npos) << unknown.errors;
  EXPECT_EQ(morselctl({"--dump", path, "--layout", "flat", "--root", "0x1000", "tree", "root"}).status, 0);
  EXPECT_NE(morselctl({"--dump", path, "--layout", "round", "target"}).errors.find("no layout"), std::string::npos);
  EXPECT_NE(morselctl({"--dump", path, "--layout", "flat", "--root", "0x1000", "--format", "amd63", "target"})
                .errors.find("amd64"),
            std::string::npos);
  EXPECT_NE(morselctl({"--dump", path, "--layout", "flat", "tree", "cpu0"}).errors.find("root add"), std::string::npos);
}

// A page of raw memory for each table, and the value of the register that points to the first: EPTP (SDM 3C, 25.6.11:
// a walk of four levels, write-back) and nCR3 (APM vol. 2, 15.25.3).
TEST_F(Dumps, ShowNestedRoots)
{
  struct Case {
    const char *format, *pointer, *end, *target;
    u64 table, leaf;
  };
  for (const Case& c : {Case{"ept", "0x101e", "translated", "0x5000", 0x7, 0x37},
                        Case{"npt", "0x1018", "translated", "0x5000", 0x67, 0x67},
                        Case{"npt", "0x1018", "not present", "", 0x67, 0x66},
                        Case{"ept", "0x101e", "malformed entry", "", 0x7, 0x32}}) {
    std::vector<u64> words(std::size_t{8} * 512);
    for (u64 level = 1; level <= 3; ++level) words[level * 512] = (level + 1) << 12 | c.table;
    words[4 * 512 + 3] = 5 << 12 | c.leaf;
    const auto* const begin = reinterpret_cast<const u8*>(words.data());
    write({begin, begin + words.size() * sizeof(u64)});
    const Ended walk = morselctl({"--dump", path, "--layout", "flat", "--root", c.pointer, "--format", c.format,
                                  "--json", "walk", "root", "primary", "0x3000"});
    const Json facts = Json::parse(walk.output, nullptr, false);
    ASSERT_TRUE(facts.is_object()) << walk.output << walk.errors;
    EXPECT_EQ(facts.at("end"), c.end) << c.format;
    EXPECT_EQ(facts.value("target", ""), c.target) << c.format;
  }
}

TEST_F(Dumps, AreRefusedWithTheReason)
{
  write({'K', 'D', 'U', 'M', 'P', ' ', ' ', ' ', 0, 0});
  const Ended e = morselctl({"--dump", path, "tree", "cpu0"});
  EXPECT_EQ(e.status, 2);
  EXPECT_NE(e.errors.find("kdump's compressed format"), std::string::npos) << e.errors;
  EXPECT_EQ(morselctl({"--dump", path + "-not", "target"}).status, 2);
  EXPECT_EQ(morselctl({"--root", "0x1000", "--embedded", "target"}).status, 2);
  EXPECT_EQ(morselctl({"--embedded", "--dump", path, "target"}).status, 2);
}

}  // namespace
}  // namespace morsel::ctl
