// SPDX-License-Identifier: GPL-2.0-or-later
//
// A real guest looked at from outside: while it runs, without anything of ours in it, and in a dump of it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "engine/inspect/find_roots.hpp"
#include "engine/inspect/walk.hpp"
#include "testvm/host/foreign_guest.hpp"
#include "testvm/host/libvirt.hpp"
#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::testvm {
namespace {

class VmDump : public testing::Test {
 protected:
  static void SetUpTestSuite()
  {
    VmConfig config = test_config();
    config.memory_bytes = u64{192} << 20;  // all of it is written into a dump
    target = VmTarget::start(config);
    connection = try_connect(target->vm().uri);
    domain.reset(virDomainLookupByName(connection.get(), target->vm().domain.c_str()));
  }
  static void TearDownTestSuite()
  {
    domain.reset();
    connection.reset();
    target.reset();
  }
  static std::unique_ptr<session::MemoryTarget> guest() { return open_guest(target->vm().domain, {}); }

  static inline std::unique_ptr<VmTarget> target;
  static inline Connection connection;
  static inline Domain domain;
};

// The guest does not run meanwhile.
class Paused {
 public:
  explicit Paused(virDomain* domain) : domain_(domain) { EXPECT_EQ(virDomainSuspend(domain), 0) << libvirt_error(); }
  ~Paused() { EXPECT_EQ(virDomainResume(domain_), 0) << libvirt_error(); }
  Paused(const Paused&) = delete;
  Paused& operator=(const Paused&) = delete;

 private:
  virDomain* domain_;
};

inspect::Snapshot whole(session::Target& target, const session::ObjectState& object)
{
  return inspect::Snapshot::take(target.memory(), object.source(), object.range());
}

TEST_F(VmDump, ShowsTheTablesThatTheLiveMemoryHas)
{
  const std::string path = testing::TempDir() + "/vm-" + std::to_string(getpid()) + ".dump";
  const Paused paused(domain.get());
  ASSERT_EQ(
      virDomainCoreDumpWithFormat(domain.get(), path.c_str(), VIR_DOMAIN_CORE_DUMP_FORMAT_RAW, VIR_DUMP_MEMORY_ONLY), 0)
      << libvirt_error();
  const auto live = guest();
  const auto dump = session::open_dump(path, {});
  unlink(path.c_str());

  const auto registers = live->cpus(), saved = dump->cpus();
  ASSERT_EQ(registers.size(), target->vm().cpus);
  ASSERT_EQ(saved.size(), registers.size());
  for (std::size_t n = 0; n < saved.size(); ++n) {
    EXPECT_EQ(saved[n].cr3, registers[n].cr3);
    EXPECT_EQ(saved[n].cr4, registers[n].cr4);
    EXPECT_EQ(saved[n].rip, registers[n].rip);
  }
  const auto roots = dump->objects();
  ASSERT_EQ(roots, live->objects());
  ASSERT_FALSE(roots.empty());
  for (const session::ObjectState& root : roots) {
    const auto there = whole(*dump, root), here = whole(*live, root);
    ASSERT_EQ(there.table_count(), here.table_count());
    EXPECT_GT(there.table_count(), 10u);
    for (u32 t = 0; t < there.table_count(); ++t) {
      ASSERT_EQ(there.table_address(t), here.table_address(t));
      ASSERT_TRUE(std::ranges::equal(there.words(t), here.words(t))) << t;
    }
  }
}

TEST_F(VmDump, WalksTheKernelsOwnTablesToWhereItRuns)
{
  const Paused paused(domain.get());
  const auto live = guest();
  const auto cpus = live->cpus();
  const auto roots = live->objects();
  ASSERT_FALSE(roots.empty());
  const FormatInfo& format = *find_format(roots[0].format);
  const auto offset = inspect::offset_of(format, cpus[0].rip);
  ASSERT_TRUE(offset);
  const auto trace = inspect::trace_walk(live->memory(), roots[0].source(), *offset, right_exec);
  EXPECT_EQ(trace.end, inspect::WalkEnd::translated);
  EXPECT_NE(live->memory().words({trace.target.value & ~u64{7}}, 1), nullptr);
  // The kernel maps all of its memory at once: by entries for the supervisor only.
  const auto tree = whole(*live, roots[0]);
  EXPECT_EQ(tree.entry(inspect::sign_boundary(format) - page_bytes, 0).kind, EntryKind::hole);
  EXPECT_EQ(trace.user, cpus[0].rip < inspect::sign_boundary(format));
}

TEST_F(VmDump, FindsAProcessByItsTablesAlone)
{
  const Json landmark = target->connection().request("landmark");
  const u64 address = landmark.at("address").get<u64>(), expected = landmark.at("pa").get<u64>();
  const auto live = guest();
  const auto roots = live->objects();
  ASSERT_FALSE(roots.empty());
  std::size_t processes = 0;
  const auto all = inspect::find_roots(live->memory(), roots[0].source());
  for (const inspect::FoundRoot& found : all) {
    inspect::TreeSource source = roots[0].source();
    source.root = found.root;
    const auto trace = inspect::trace_walk(live->memory(), source, address, right_write);
    if (trace.end == inspect::WalkEnd::translated && trace.target.value == expected) ++processes;
  }
  EXPECT_GE(all.size(), 2u);
  EXPECT_GE(processes, 1u);
}

TEST_F(VmDump, TakesTheProcessIdOfAnyQemuAndRefusesToWrite)
{
  const auto live = open_guest(std::to_string(target->vm().process), {});
  EXPECT_EQ(live->memory().bytes(), target->memory().bytes());
  EXPECT_FALSE(live->objects().empty());
  EXPECT_THROW(live->unmap(live->objects()[0].name, {0, page_bytes}), session::Failure);
  try {
    open_guest("no-such-domain", {});
    FAIL();
  } catch (const session::Failure& failure) {
    EXPECT_NE(failure.advice().find(target->vm().domain), std::string::npos) << failure.what();
  }
}

}  // namespace
}  // namespace morsel::testvm
