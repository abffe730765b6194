// SPDX-License-Identifier: GPL-2.0-or-later
//
// morsel-qemu [--accel tcg|kvm] [--memory SIZE] [--pages N]
// morsel-qemu --stay OBJECT [--accel tcg|kvm] [--memory SIZE]
//
// Runs this machine's unmodified QEMU with its guest's memory in an object, talks with the inner guest through the
// object, and prints how many page faults that takes, beside the same with QEMU's own memfd; each twice: with new
// memory, and by a second QEMU on the memory of the first. With --stay: makes the object, runs QEMU on it, and waits
// until somebody asks the inner guest through its memory to end.
//
// Exit status: 0 done, 1 a word was not what it must be, 2 wrong words, 3 QEMU or the object cannot be had.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "engine/abi/morsel_ioctl.h"
#include "testvm/guest/operation.hpp"
#include "testvm/guest/qemu/emulator.hpp"
#include "testvm/guest/qemu/inner_guest.hpp"
#include "testvm/guest/qemu/mailbox.h"

namespace {

using namespace morsel::guest;
using std::uint32_t;
using std::uint64_t;

constexpr uint64_t page = 4096, slot_1g = uint64_t{1} << 30, slot_2m = uint64_t{1} << 21;
constexpr uint64_t first_page = uint64_t{16} << 20;   // firmware, inner guest and mailbox are below
constexpr uint64_t firmware_top = uint64_t{1} << 20;  // at the end of memory: the firmware's tables
constexpr uint32_t seed_of_guest = 0x5eed0000, seed_of_host = 0xa5a5a000;
constexpr uint32_t end_value = 21;

struct Options {
  std::string accelerator = "tcg", stay;
  uint64_t memory_bytes = slot_1g, pages = 65536;

  uint64_t end_page() const { return first_page + pages * page; }
};

struct Wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void expect(const char* what, uint64_t found, uint64_t expected)
{
  if (found != expected)
    throw Wrong(std::string(what) + ": " + std::to_string(found) + ", expected " + std::to_string(expected));
}

// A file by its own descriptor, for as long as it is needed.
class File {
 public:
  File(const std::string& path, int flags) : path_(path), fd_(open(path.c_str(), flags | O_CLOEXEC, 0600))
  {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "opening " + path);
  }
  ~File() { close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int fd_;
};

// A new object in morselfs; its name goes with it.
class Object : public File {
 public:
  Object(const std::string& name, uint64_t bytes) : File("/morsel/" + name, O_RDWR | O_CREAT | O_EXCL)
  {
    if (ftruncate(fd(), static_cast<off_t>(bytes)) == 0) return;
    const int number = errno;
    unlink(path().c_str());
    throw std::system_error(number, std::generic_category(), "sizing " + path());
  }
  ~Object() { unlink(path().c_str()); }
};

std::string backend_of_file(const std::string& path, uint64_t bytes)
{
  return "memory-backend-file,id=ram,share=on,size=" + std::to_string(bytes) + "B,mem-path=" + path;
}

// Aligned, so that whole subtrees can be attached to QEMU.
std::string backend_of(const Object& object, uint64_t bytes)
{
  return backend_of_file(object.path(), bytes) + ",align=" + (bytes >= slot_1g ? "1G" : "2M");
}

uint64_t attachments()
{
  const File device("/dev/morsel", O_RDWR);
  morsel_counters counters{};
  counters.size = sizeof counters;
  if (ioctl(device.fd(), MORSEL_IOC_COUNTERS, &counters) != 0)
    throw std::system_error(errno, std::generic_category(), "reading the module's counters");
  return counters.attached_total;
}

uint64_t own_faults()
{
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_minflt + usage.ru_majflt);
}

volatile uint32_t& word_at(const Mapping& memory, uint64_t offset)
{
  return reinterpret_cast<volatile uint32_t&>(memory.word(offset));
}

// One QEMU on one memory; what it costs.
struct Round {
  uint64_t start = 0, writing = 0, reading = 0, own = 0, attached = 0;
  std::string firmware;
};

// What the inner guest writes is there for this process, and the reverse; how many faults each takes.
void exchange(const Emulator& emulator, const InnerGuest& guest, const Mapping& memory, const Options& options,
              Round& round)
{
  const uint64_t end = options.end_page(), started = emulator.faults();
  expect("pages that the inner guest wrote", guest.ask(MORSEL_COMMAND_WRITE, first_page, end, seed_of_guest),
         options.pages);
  const uint64_t written = emulator.faults(), own = own_faults();
  uint32_t sum = 0;
  for (uint64_t at = first_page; at < end; at += page) {
    expect("a word of the inner guest's", word_at(memory, at), static_cast<uint32_t>(at) ^ seed_of_guest);
    word_at(memory, at) = static_cast<uint32_t>(at) + seed_of_host;
    sum += static_cast<uint32_t>(at) + seed_of_host;
  }
  round.own = own_faults() - own;
  expect("the sum of this process' words, by the inner guest", guest.ask(MORSEL_COMMAND_SUM, first_page, end, 0), sum);
  round.start = started;
  round.writing = written - started;
  round.reading = emulator.faults() - written;
}

// Words of the first QEMU that the second one finds.
void check_kept(const Mapping& memory, const Options& options)
{
  for (uint64_t at = first_page; at < options.end_page(); at += page)
    expect("a word of the first QEMU's time", word_at(memory, at), static_cast<uint32_t>(at) + seed_of_host);
}

// path_of: where this process finds the memory of the QEMU that now runs.
Round run_round(const Options& options, const std::string& backend, uint32_t starts,
                const std::function<std::string(const Emulator&)>& path_of)
{
  Round round;
  const uint64_t attached = attachments();
  Emulator emulator({.accelerator = options.accelerator, .memory_bytes = options.memory_bytes, .memory = backend});
  const Mapping memory(path_of(emulator), 0, Right::read_write);
  const InnerGuest guest(emulator, memory);
  expect("the inner guest's sign", guest.listens(), true);
  expect("starts in this memory", guest.starts(), starts);
  exchange(emulator, guest, memory, options, round);
  round.firmware = emulator.firmware_greeting();
  expect("QEMU's exit status", static_cast<uint64_t>(guest.end(end_value)), end_value * 2 + 1);
  round.attached = attachments() - attached;
  return round;
}

void print(const char* memory, const char* state, const Round& round)
{
  std::printf("| %s | %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |\n", memory, state,
              round.start, round.writing, round.reading, round.own, round.attached);
}

// QEMU's own memfd; then a second QEMU on the same one, which this process has kept.
void run_on_memfd(const Options& options)
{
  std::optional<File> kept;
  const auto keep = [&kept](const Emulator& emulator) { return kept.emplace(emulator.memfd_path(), O_RDWR).path(); };
  const std::string size = std::to_string(options.memory_bytes) + "B";
  print("memfd", "new", run_round(options, "memory-backend-memfd,id=ram,share=on,size=" + size, 1, keep));
  std::string path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(kept->fd());
  check_kept(Mapping(path, 0, Right::read_write), options);
  print("memfd", "kept",
        run_round(options, backend_of_file(path, options.memory_bytes), 2, [&](const Emulator&) { return path; }));
}

// Returns what the firmware says.
std::string run_on_object(const Options& options)
{
  const Object object("morsel-qemu", options.memory_bytes);
  const std::string backend = backend_of(object, options.memory_bytes);
  const auto path_of = [&object](const Emulator&) { return object.path(); };
  print("morsel", "new", run_round(options, backend, 1, path_of));
  check_kept(Mapping(object.path(), 0, Right::read_write), options);
  const Round round = run_round(options, backend, 2, path_of);
  print("morsel", "kept", round);
  return round.firmware;
}

void compare(const Options& options)
{
  std::printf(
      "| memory | | QEMU starts | guest writes | guest reads | process reads and writes | attached |\n"
      "|---|---|---|---|---|---|---|\n");
  run_on_memfd(options);
  const std::string firmware = run_on_object(options);
  std::printf("\n%s, a guest of %" PRIu64 " MiB, %" PRIu64 " pages; firmware: %s\n", options.accelerator.c_str(),
              options.memory_bytes >> 20, options.pages, firmware.c_str());
}

void stay(const Options& options)
{
  const Object object(options.stay, options.memory_bytes);
  Emulator emulator({.accelerator = options.accelerator,
                     .memory_bytes = options.memory_bytes,
                     .memory = backend_of(object, options.memory_bytes)});
  std::printf("the inner guest listens at 0x%x of %s; %s\n", MORSEL_MAILBOX, options.stay.c_str(),
              emulator.firmware_greeting().c_str());
  const int status = emulator.wait_for_end();
  std::printf("QEMU ended with status %d\n", status);
}

int usage(const std::string& problem)
{
  std::fprintf(stderr,
               "morsel-qemu: %s\nusage: morsel-qemu [--stay OBJECT] [--accel tcg|kvm] [--memory SIZE] [--pages N]\n",
               problem.c_str());
  return 2;
}

// Nothing if all is well, else what is wrong.
std::string parse(int argc, char** argv, Options& options)
{
  for (int i = 1; i < argc; i += 2) {
    const std::string_view word = argv[i];
    if (i + 1 == argc) return std::string(word) + " needs a value, or is unknown";
    const std::string value = argv[i + 1];
    const uint64_t number = parse_number(value).value_or(0);
    if (word == "--accel" && (value == "tcg" || value == "kvm"))
      options.accelerator = value;
    else if (word == "--stay" && value.find('/') == std::string::npos)
      options.stay = value;
    else if (word == "--memory" && number && number % slot_2m == 0 && number <= 2 * slot_1g)
      options.memory_bytes = number;
    else if (word == "--pages" && number)
      options.pages = number;
    else
      return std::string(word) + " " + value + " is unknown";
  }
  const uint64_t room = options.memory_bytes / page;
  if (room < (first_page + firmware_top) / page || options.pages > room - (first_page + firmware_top) / page)
    return "the inner guest's memory is too small for so many pages";
  return {};
}

}  // namespace

int main(int argc, char** argv)
{
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Options options;
  if (const std::string problem = parse(argc, argv, options); !problem.empty()) return usage(problem);
  try {
    if (options.stay.empty())
      compare(options);
    else
      stay(options);
    return 0;
  } catch (const Wrong& wrong) {
    std::fprintf(stderr, "morsel-qemu: %s\n", wrong.what());
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "morsel-qemu: %s\n", error.what());
    return 3;
  }
}
