// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/foreign_guest.hpp"

#include <libvirt/libvirt-qemu.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>

#include "testvm/host/domain.hpp"
#include "testvm/host/guest_memory.hpp"

namespace morsel::testvm {

namespace fs = std::filesystem;
using session::CpuState;
using session::Exit;
using session::Failure;
using session::MemoryLayout;

namespace {

constexpr u64 least_bytes = u64{1} << 20;

// A line of /proc/PID/maps: "7f00-7f80 rw-s 00000000 00:01 1234  /memfd:… (deleted)".
struct Mapping {
  bool shared = false;
  u64 inode = 0;
  u32 major = 0, minor = 0;
};
std::optional<Mapping> parse_mapping(const std::string& line)
{
  unsigned long long start = 0, end = 0, offset = 0, inode = 0;
  unsigned major = 0, minor = 0;
  char rights[5] = {};
  if (std::sscanf(line.c_str(), "%llx-%llx %4s %llx %x:%x %llu", &start, &end, rights, &offset, &major, &minor,
                  &inode) != 7)
    return {};
  return Mapping{rights[0] == 'r' && rights[3] == 's' && inode != 0, inode, major, minor};
}

// The words of a command line.
std::vector<std::string> words_of(const std::string& arguments)
{
  std::vector<std::string> words;
  std::istringstream in(arguments);
  for (std::string word; std::getline(in, word, '\0');) words.push_back(word);
  return words;
}

std::string argument_after(const std::vector<std::string>& words, std::initializer_list<std::string_view> options)
{
  for (std::size_t n = 0; n + 1 < words.size(); ++n)
    if (std::find(options.begin(), options.end(), words[n]) != options.end()) return words[n + 1];
  return {};
}

std::string running_domains(virConnect* connection)
{
  virDomainPtr* domains = nullptr;
  const int count = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
  std::string names;
  for (int n = 0; n < count; ++n) {
    const Domain domain(domains[n]);
    names += (n ? ", " : "") + std::string(virDomainGetName(domains[n]));
  }
  if (count >= 0) std::free(domains);
  return names;
}

pid_t process_of_domain(const std::string& name)
{
  const std::string tried = "look at the guest " + name;
  quiet_libvirt();
  const Connection connection = try_connect(default_uri());
  if (!connection)
    throw Failure(Exit::skipped, tried, default_uri() + ": " + libvirt_error(),
                  "A QEMU that libvirt does not run is named by its process id: --guest PID.");
  const Domain domain(virDomainLookupByName(connection.get(), name.c_str()));
  if (!domain) {
    const std::string names = running_domains(connection.get());
    throw Failure(Exit::usage, tried, "no domain of that name runs on " + default_uri(),
                  names.empty() ? "None runs there." : "There run: " + names + ".");
  }
  const pid_t process = find_qemu(domain.get());
  if (process == 0) throw Failure(Exit::usage, tried, "the domain has no QEMU process", "Is it shut off?");
  return process;
}

// What the monitor says; empty if libvirt does not run this QEMU, or it does not answer.
std::vector<CpuState> registers_of(const std::string& uuid)
{
  quiet_libvirt();
  const Connection connection = try_connect(default_uri());
  if (!connection) return {};
  const Domain domain(virDomainLookupByUUIDString(connection.get(), uuid.c_str()));
  char* text = nullptr;
  if (!domain ||
      virDomainQemuMonitorCommand(domain.get(), "info registers -a", &text, VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP) != 0)
    return {};
  const std::string answer = text;
  std::free(text);
  return parse_registers(answer);
}

SharedFile ram_of(pid_t process, const std::string& tried)
{
  const std::vector<SharedFile> files = find_shared_files(process);
  if (files.empty())
    throw Failure(Exit::usage, tried, "its QEMU shares no RAM: all of it is private to that process",
                  "Start it with shared RAM. libvirt: <memoryBacking><source type='memfd'/><access mode='shared'/>"
                  "</memoryBacking>; QEMU: -object memory-backend-memfd,id=ram,size=…,share=on "
                  "-machine …,memory-backend=ram.");
  if (files.size() > 1 && files[1].bytes * 16 >= files[0].bytes)
    throw Failure(Exit::usage, tried,
                  "its QEMU shares several files that may be RAM: " + files[0].name + " and " + files[1].name,
                  "Guests whose RAM is one file can be looked at; take a dump of this one.");
  return files[0];
}

}  // namespace

std::vector<SharedFile> find_shared_files(pid_t process)
{
  const fs::path folder = "/proc/" + std::to_string(process);
  const std::string tried = "look into process " + std::to_string(process);
  if (!fs::exists(folder)) throw Failure(Exit::usage, tried, "there is no such process");
  std::map<std::pair<u64, u64>, bool> mapped;  // (device, inode)
  std::istringstream maps(read_file(folder / "maps"));
  for (std::string line; std::getline(maps, line);)
    if (const auto m = parse_mapping(line); m && m->shared) mapped[{makedev(m->major, m->minor), m->inode}] = true;

  std::vector<SharedFile> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder / "fd", error)) {
    struct stat status {};
    if (stat(entry.path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    const auto found = mapped.find({status.st_dev, status.st_ino});
    if (found == mapped.end() || static_cast<u64>(status.st_size) < least_bytes) continue;
    mapped.erase(found);  // the same file may have several descriptors
    std::error_code gone;
    files.push_back({entry.path(), fs::read_symlink(entry.path(), gone).string(), static_cast<u64>(status.st_size)});
  }
  if (error)
    throw Failure(Exit::skipped, tried, error.message(), "Only its own user and root may look into a process.");
  std::stable_sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return files;
}

std::optional<MemoryLayout> layout_of_arguments(const std::string& arguments)
{
  std::string machine = argument_after(words_of(arguments), {"-machine", "-M", "--machine"});
  if (machine.starts_with("type=")) machine.erase(0, 5);
  machine = machine.substr(0, machine.find(','));
  if (machine == "q35" || machine.starts_with("pc-q35")) return MemoryLayout::q35;
  if (machine.empty() || machine == "pc" || machine.starts_with("pc-i440fx")) return MemoryLayout::pc;
  return {};
}

std::vector<CpuState> parse_registers(const std::string& text)
{
  std::vector<CpuState> cpus;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (word.starts_with("CPU#")) cpus.emplace_back();
    const std::size_t equals = word.find('=');
    if (cpus.empty() || equals == std::string::npos) continue;
    const std::string name = word.substr(0, equals);
    const u64 value = std::strtoull(word.c_str() + equals + 1, nullptr, 16);
    CpuState& cpu = cpus.back();
    if (name == "RIP") cpu.rip = value;
    if (name == "CR0") cpu.cr0 = value;
    if (name == "CR3") cpu.cr3 = value;
    if (name == "CR4") cpu.cr4 = value;
  }
  return cpus;
}

std::unique_ptr<session::MemoryTarget> open_guest(const std::string& guest, std::optional<MemoryLayout> layout)
{
  const std::string tried = "look at the guest " + guest;
  const bool is_process = guest.size() < 9 && guest.find_first_not_of("0123456789") == std::string::npos;
  const pid_t process = is_process ? std::stoi(guest) : process_of_domain(guest);
  const SharedFile ram = ram_of(process, tried);
  const std::string arguments = read_file("/proc/" + std::to_string(process) + "/cmdline");
  if (!layout) layout = layout_of_arguments(arguments);
  if (!layout)
    throw Failure(Exit::usage, tried, "its machine is neither q35 nor i440FX: where its RAM lies is not known",
                  "If it begins at 0 without a hole: --layout flat.");
  const auto memory = std::make_shared<GuestMemory>(ram.path, ram.bytes, *layout);
  session::MemoryTarget::Cpus cpus;
  if (const std::string uuid = argument_after(words_of(arguments), {"-uuid"}); !uuid.empty())
    cpus = [uuid] { return registers_of(uuid); };
  session::TargetInfo info{"guest", guest, "QEMU process " + std::to_string(process), 0};
  auto target =
      std::make_unique<session::MemoryTarget>(std::move(info), memory, memory->physical().segments(), std::move(cpus));
  target->add_cpu_roots();
  return target;
}

}  // namespace morsel::testvm
