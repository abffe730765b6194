// SPDX-License-Identifier: GPL-2.0-or-later
//
// Loaded into Bochs (LD_PRELOAD), which can neither share its guest's memory nor speak through a descriptor that it is
// given. Three functions that it calls are replaced; for everything else they do what they always do.
//
//   operator new[]  The guest's memory is one allocation (Bochs memory/misc_mem.cc, alloc_vector_aligned): its front
//                   part is mapped from the file that the host gave.
//   read            Bochs gives a place in that allocation to a block of guest memory when the block is first touched,
//                   in that order. Its configuration names the same file as an image of all memory ("optramimage1"),
//                   which it reads from the first byte on: read() reports one page at a time and copies nothing, so
//                   that every block is touched in order and stands at its own address. Should Bochs ask in another
//                   order, it ends with a message.
//   connect         Of a serial line (mode socket-client): becomes the socket that the host gave. Unlike the other
//                   modes it takes a byte only when the guest has room for it, so that none is lost.
//
// MORSEL_BRIDGE_RAM and MORSEL_BRIDGE_CHANNEL in the environment are the numbers of the two descriptors.
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>

namespace {

constexpr std::size_t page_bytes = 4096;

struct Guest {
  int channel = -1;
  int ram = -1;
  std::size_t bytes = 0;
  char* base = nullptr;     // once it is mapped
  std::size_t touched = 0;  // from the start, in order
};

int descriptor_from(const char* variable)
{
  const char* text = std::getenv(variable);
  return text ? std::atoi(text) : -1;
}

Guest& guest()
{
  static Guest the_guest = [] {
    Guest g;
    g.channel = descriptor_from("MORSEL_BRIDGE_CHANNEL");
    g.ram = descriptor_from("MORSEL_BRIDGE_RAM");
    struct stat status {};
    if (g.ram >= 0 && fstat(g.ram, &status) == 0) g.bytes = static_cast<std::size_t>(status.st_size);
    return g;
  }();
  return the_guest;
}

[[noreturn]] void fail(const char* what)
{
  constexpr char prefix[] = "morsel-bochs-bridge: ";
  for (const char* text : {prefix, what, "\n"})
    if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) break;
  _exit(1);
}

// The guest's memory and, behind it, what Bochs keeps in the same allocation (ROMs).
void* map_guest(Guest& g, std::size_t bytes)
{
  constexpr int access = PROT_READ | PROT_WRITE;
  void* all = mmap(nullptr, bytes, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED || mmap(all, g.bytes, access, MAP_SHARED | MAP_FIXED, g.ram, 0) == MAP_FAILED)
    fail("the guest's memory cannot be mapped");
  g.base = static_cast<char*>(all);
  return all;
}

}  // namespace

void* operator new[](std::size_t bytes)
{
  Guest& g = guest();
  if (g.bytes != 0 && !g.base && bytes >= g.bytes) return map_guest(g, bytes);
  void* memory = std::malloc(bytes ? bytes : 1);
  if (!memory) fail("no memory is left");
  return memory;
}

void operator delete[](void* memory) noexcept
{
  if (memory != guest().base || !memory) std::free(memory);  // the guest's memory goes with the process
}

void operator delete[](void* memory, std::size_t) noexcept { operator delete[](memory); }

extern "C" ssize_t read(int fd, void* buffer, size_t bytes)
{
  Guest& g = guest();
  const char* at = static_cast<const char*>(buffer);
  if (!g.base || at < g.base || at >= g.base + g.bytes) return syscall(SYS_read, fd, buffer, bytes);
  if (at != g.base + g.touched) fail("this Bochs lays the guest's memory out in another way than version 2.7");
  g.touched += page_bytes;
  return page_bytes;
}

extern "C" int connect(int fd, const sockaddr* address, socklen_t bytes)
{
  if (guest().channel < 0 || !address || address->sa_family != AF_INET)
    return static_cast<int>(syscall(SYS_connect, fd, address, bytes));
  return dup2(guest().channel, fd) < 0 ? -1 : 0;
}
