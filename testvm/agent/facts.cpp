// SPDX-License-Identifier: GPL-2.0-or-later
//
// Facts from the kernel: uname, sysinfo, its log, and its page map.
#include "testvm/agent/facts.hpp"

#include <fcntl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>

#include "engine/abi/morsel_ioctl.h"
#include "testvm/agent/unique_fd.hpp"

namespace morsel::agent {
namespace {

constexpr std::size_t landmark_bytes = 64;
constexpr std::size_t max_log_bytes = max_line_bytes / 2;    // escapes make it longer
constexpr int syslog_read_all = 3, syslog_size_buffer = 10;  // syslog(2)

// With 5-level paging off, the kernel clears the CPU's flag.
bool has_la57()
{
  std::ifstream stream("/proc/cpuinfo");
  for (std::string line; std::getline(stream, line);)
    if (line.starts_with("flags")) return line.find(" la57") != std::string::npos;
  return false;
}

// Physical address of a page that is present (Documentation/admin-guide/mm/pagemap.rst: bits 0-54 are the frame's
// number, 0 without CAP_SYS_ADMIN; bit 63 says present).
std::uint64_t physical_address(const void* page, std::uint64_t page_bytes)
{
  const UniqueFd map(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  std::uint64_t entry = 0;
  const auto index = reinterpret_cast<std::uintptr_t>(page) / page_bytes;
  if (!map || pread(map.get(), &entry, sizeof entry, static_cast<off_t>(index * sizeof entry)) != sizeof entry)
    throw RequestError(errno ? errno : EIO, "reading /proc/self/pagemap");
  const std::uint64_t frame = entry & ((std::uint64_t{1} << 55) - 1);
  if (!(entry >> 63) || frame == 0) throw RequestError(EPERM, "/proc/self/pagemap does not show frames");
  return frame * page_bytes;
}

std::string hexadecimal(const unsigned char* bytes, std::size_t length)
{
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < length; ++i) {
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text;
}

}  // namespace

Json greeting(Module& module)
{
  morsel_version version{};
  version.size = sizeof version;
  if (module.is_loaded()) module.request(MORSEL_IOC_VERSION, &version);
  utsname kernel{};
  uname(&kernel);
  struct sysinfo memory {};
  sysinfo(&memory);
  return {{"agent", protocol_version},
          {"abi", version.abi_version},
          {"points", version.point_count},
          {"journal", version.journal_version},
          {"kernel", kernel.release},
          {"cpus", sysconf(_SC_NPROCESSORS_ONLN)},
          {"memory_bytes", static_cast<std::uint64_t>(memory.totalram) * memory.mem_unit},
          {"la57", has_la57()}};
}

std::string kernel_log()
{
  const int size = klogctl(syslog_size_buffer, nullptr, 0);
  if (size < 0) throw RequestError(errno, std::string("reading the kernel's log: ") + std::strerror(errno));
  std::string text(static_cast<std::size_t>(size), '\0');
  const int length = klogctl(syslog_read_all, text.data(), size);
  if (length < 0) throw RequestError(errno, std::string("reading the kernel's log: ") + std::strerror(errno));
  text.resize(static_cast<std::size_t>(length));
  if (text.size() > max_log_bytes) text.erase(0, text.size() - max_log_bytes);
  return text;
}

Json landmark()
{
  static unsigned char* const page = [] {
    const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* const memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) throw RequestError(errno, "mapping the landmark's page");
    if (getrandom(memory, landmark_bytes, 0) != static_cast<ssize_t>(landmark_bytes))
      throw RequestError(EIO, "getrandom");
    return static_cast<unsigned char*>(memory);
  }();
  return {{"pa", physical_address(page, static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)))},
          {"address", reinterpret_cast<std::uintptr_t>(page)},
          {"bytes", landmark_bytes},
          {"pattern", hexadecimal(page, landmark_bytes)}};
}

}  // namespace morsel::agent
