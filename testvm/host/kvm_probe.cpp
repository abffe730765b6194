// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/kvm_probe.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "testvm/host/os.hpp"
#include "testvm/host/qemu_user.hpp"

// The probe's code: the last 256 bytes of a 64-KiB ROM, which stands at 4 GiB - 64 KiB and once more at 0xf0000. From
// the reset vector it goes to the low copy, maps the first 2 MiB, switches to long mode (SDM vol. 3, 10.8.5) and writes
// 0x2a to QEMU's isa-debug-exit port, which makes QEMU end with status 2 * 0x2a + 1.
asm(R"(
  .pushsection .rodata
  .globl morsel_probe_code
morsel_probe_code:
  .code16
  cli
  cld
  xor %ax, %ax
  mov %ax, %ds
  mov %ax, %es
  mov $0x1000, %di          # three zeroed tables at 0x1000, 0x2000, 0x3000
  mov $0x1800, %cx
  rep stosw
  movw $0x2003, 0x1000      # PML4[0]: table, present, writable
  movw $0x3003, 0x2000      # PDPT[0]
  movw $0x0083, 0x3000      # PD[0]: 2-MiB leaf at 0
  mov $0x20, %eax           # CR4.PAE
  mov %eax, %cr4
  mov $0x1000, %eax
  mov %eax, %cr3
  mov $0xc0000080, %ecx     # EFER.LME
  rdmsr
  or $1, %ah
  wrmsr
  lgdtl %cs:(0xff00 + morsel_probe_gdtr - morsel_probe_code)
  mov $0x80000001, %eax     # CR0.PG, CR0.PE
  mov %eax, %cr0
  ljmpl $8, $(0xfff00 + morsel_probe_long - morsel_probe_code)
  .code64
morsel_probe_long:
  mov $0x2a, %al
  out %al, $0xf4
1: hlt
  jmp 1b
morsel_probe_gdtr:
  .word 15
  .long 0xfff00 + morsel_probe_gdt - morsel_probe_code
  .balign 8
morsel_probe_gdt:
  .quad 0
  .quad 0x00209a0000000000  # 64-bit code
  .fill morsel_probe_code + 0xf0 - ., 1, 0
  .code16
  .byte 0xea                # reset vector: far jump to f000:ff00
  .word 0xff00, 0xf000
  .fill morsel_probe_code + 0x100 - ., 1, 0
  .code64
  .popsection
)");
extern "C" const char morsel_probe_code[];

namespace morsel::testvm {
namespace {

constexpr std::size_t rom_bytes = 65536, code_bytes = 256;
constexpr int works_status = 2 * 0x2a + 1;
constexpr Milliseconds probe_limit{20'000};  // a guard against a guest that hangs

UniqueFd make_memory_file(const char* name, std::string_view content)
{
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC));
  if (fd && write(fd.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size())) fd.reset();
  return fd;
}

std::string first_line_of(int fd)
{
  char text[512] = {};
  if (pread(fd, text, sizeof text - 1, 0) <= 0) return "it said nothing";
  return std::string(text).substr(0, std::string_view(text).find('\n'));
}

}  // namespace

KvmVerdict probe_kvm()
{
  if (KvmVerdict open = may_open_kvm({}); !open.usable) return open;
  const auto qemu = find_program("qemu-system-x86_64");
  if (!qemu) return {false, "qemu-system-x86_64 is not installed"};
  std::string rom(rom_bytes - code_bytes, '\0');
  rom.append(morsel_probe_code, code_bytes);
  const UniqueFd image = make_memory_file("morsel-probe", rom), errors = make_memory_file("morsel-probe-errors", "");
  ChildSetup setup;
  setup.argv = {qemu->string(),
                "-nodefaults",
                "-no-user-config",
                "-machine",
                "q35,accel=kvm",
                "-cpu",
                "host",
                "-m",
                "16",
                "-display",
                "none",
                "-no-reboot",
                "-bios",
                "/dev/fd/" + std::to_string(image.get()),
                "-device",
                "isa-debug-exit,iobase=0xf4,iosize=4"};
  setup.kept = {image.get()};
  setup.errors = errors.get();
  setup.parent_death_signal = SIGKILL;
  const pid_t pid = start_child(setup);
  const auto process = open_process(pid);
  const bool ended = process && wait_readable(process->get(), probe_limit);
  if (!ended) kill(pid, SIGKILL);
  const int status = wait_child(pid);
  if (!ended) return {false, "a guest started with KVM hangs"};
  if (status == works_status) return {true, "a guest ran with KVM"};
  return {false, "a guest does not run with KVM: " + first_line_of(errors.get())};
}

KvmVerdict may_open_kvm(const std::string& qemu_user)
{
  if (access("/dev/kvm", F_OK) != 0) return {false, "there is no /dev/kvm"};
  if (!qemu_user.empty()) {
    if (may_access(qemu_user, "/dev/kvm", R_OK | W_OK)) return {true, "/dev/kvm can be opened"};
    return {false, "libvirt's QEMU user may not open /dev/kvm"};
  }
  const UniqueFd device(open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!device) return {false, "opening /dev/kvm: " + errno_text()};
  return {true, "/dev/kvm can be opened"};
}

}  // namespace morsel::testvm
