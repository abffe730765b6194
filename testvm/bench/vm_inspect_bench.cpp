// SPDX-License-Identifier: GPL-2.0-or-later
//
// Looking into a running guest: a snapshot of 131,072 mapped pages out of its shared memory, against a minimal walker
// on the same memory and against the same dump through QEMU's gdb stub. Prints one JSON line for each comparison,
// medians of one run, for scripts/bench.
#include <fmt/format.h>
#include <libvirt/libvirt-qemu.h>
#include <unistd.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "engine/bench/plain_walker.hpp"
#include "testvm/bench/bench.hpp"
#include "testvm/bench/stub_client.hpp"
#include "testvm/host/libvirt.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::bench {
namespace {

constexpr u64 pages = 131'072;
constexpr u64 object_bytes = u64{1} << 30;
constexpr int fast_rounds = 201;
constexpr int stub_rounds = 5;

void require(bool holds, const std::string& what)
{
  if (!holds) throw Failure(Exit::check_failed, "measure", what);
}

template <class Work>
double microseconds(Work&& work)
{
  return seconds(std::forward<Work>(work)) * 1e6;
}

// Lets QEMU listen for gdb; the socket goes with this object, the VM with the program.
class GdbServer {
 public:
  explicit GdbServer(const testvm::VmInfo& vm)
      : path_(std::filesystem::temp_directory_path() / fmt::format("morsel-stub-{}.sock", getpid()))
  {
    const testvm::Connection connection = testvm::try_connect(vm.uri);
    require(connection != nullptr, "libvirt does not answer at " + vm.uri);
    const testvm::Domain domain(virDomainLookupByName(connection.get(), vm.domain.c_str()));
    if (!domain) testvm::throw_libvirt("find the domain " + vm.domain);
    const std::string command = "gdbserver unix:" + path_.string() + ",server=on,wait=off";
    char* answer = nullptr;
    if (virDomainQemuMonitorCommand(domain.get(), command.c_str(), &answer, VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP) < 0)
      testvm::throw_libvirt("let QEMU listen for gdb");
    free(answer);
  }
  ~GdbServer() { std::filesystem::remove(path_); }
  GdbServer(const GdbServer&) = delete;
  GdbServer& operator=(const GdbServer&) = delete;
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

// The leaves of a tree into records, as PlainWalker does it, but every table comes through the stub.
void dump_by_stub(StubClient& stub, u64 table, unsigned level, u64 address, std::vector<LeafRecord>& records)
{
  u64 words[512];
  stub.read(table, words, 512);
  for (u64 i = 0; i < 512; ++i) {
    if (!(words[i] & 1)) continue;
    const u64 here = address + (i << (12 + 9 * level));
    if (level == 0 || (words[i] & 0x80))
      records.push_back({here, words[i]});
    else
      dump_by_stub(stub, words[i] & 0x000f'ffff'ffff'f000, level - 1, here, records);
  }
}

u64 leaves_of(const inspect::Snapshot& snapshot)
{
  u64 leaves = 0;
  for (u32 table = 0; table < snapshot.table_count(); ++table)
    for (const u64 word : snapshot.words(table))
      leaves += snapshot.format_info().kind(word, snapshot.table_level(table)) == EntryKind::leaf;
  return leaves;
}

void run()
{
  testvm::VmConfig config = testvm::config_of_build(fmt::format("bench-{}", getpid()));
  config.memory_bytes = u64{1} << 30;
  const auto target = testvm::VmTarget::start(config);
  const std::string name = "bench";
  target->create_object(name, object_bytes, {});
  target->populate(name, {0, pages * page_bytes}, rights_rw, 0);
  const session::ObjectState object = target->object(name);
  const inspect::PhysicalMemory& memory = target->memory();

  inspect::Snapshot snapshot;
  PlainWalker walker(memory);
  std::vector<double> snapshots, walks, dumps;
  std::size_t walked = 0;
  for (int round = 0; round < fast_rounds; ++round) {
    snapshots.push_back(microseconds([&] { snapshot.retake(memory, object.source(), object.range()); }));
    walks.push_back(microseconds([&] { walked = walker.walk(object.root.value, object.root_level).size(); }));
  }
  require(leaves_of(snapshot) == pages, fmt::format("the snapshot has {} of {} pages", leaves_of(snapshot), pages));
  require(walked == pages, fmt::format("the plain walker found {} of {} pages", walked, pages));

  GdbServer server(target->vm());
  {
    StubClient stub(server.path());
    for (int round = 0; round < stub_rounds; ++round) {
      std::vector<LeafRecord> records;
      dumps.push_back(microseconds([&] { dump_by_stub(stub, object.root.value, object.root_level, 0, records); }));
      require(records.size() == pages, fmt::format("the stub's dump has {} of {} pages", records.size(), pages));
    }
  }
  print_row("snapshot of a guest against a plain walker", median(snapshots), "us", median(walks));
  print_row("snapshot of a guest against QEMU's gdb stub", median(snapshots), "us", median(dumps));
  target->destroy_object(name);
}

}  // namespace
}  // namespace morsel::bench

int main() { return morsel::bench::run_bench(morsel::bench::run); }
