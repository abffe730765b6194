// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/bochs/boot.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include "engine/base/bits.hpp"
#include "engine/session/failure.hpp"
#include "testvm/bochs/boot_layout.h"

extern "C" const char morsel_boot_rom[MORSEL_BOOT_ROM_BYTES];

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

constexpr u64 first_free = u64{1} << 20;      // below are the BIOS and the hand-over page
constexpr u64 bios_tables = u64{1} << 20;     // at the end of memory; the Bochs BIOS takes 64 KiB there
constexpr u32 note_phys32_entry = 18;         // XEN_ELFNOTE_PHYS32_ENTRY
constexpr u32 start_info_magic = 0x336ec578;  // XEN_HVM_START_MAGIC_VALUE

// Xen public/arch-x86/hvm/start_info.h, version 1.
struct StartInfo {
  u32 magic, version, flags, modules;
  u64 module_list, command_line, acpi_root, memory_map;
  u32 map_entries, reserved;
};
struct Module {
  u64 start, bytes, command_line, reserved;
};
static_assert(sizeof(StartInfo) == 56 && MORSEL_BOOT_START_INFO + sizeof(StartInfo) <= MORSEL_BOOT_MODULE);
static_assert(MORSEL_BOOT_START_INFO + offsetof(StartInfo, map_entries) == MORSEL_BOOT_MAP_ENTRIES);
static_assert(MORSEL_BOOT_MODULE + sizeof(Module) <= MORSEL_BOOT_MAP);
static_assert(MORSEL_BOOT_MAP + MORSEL_BOOT_MAP_ENTRY_BYTES * MORSEL_BOOT_MAP_MAX <= MORSEL_BOOT_COMMAND_LINE);

class Loader {
 public:
  Loader(std::span<std::byte> memory, const BootFiles& files) : memory_(memory), files_(files) {}

  void load()
  {
    const u64 kernel_end = load_kernel();
    const u64 initramfs = load_initramfs(kernel_end);
    constexpr u64 most = MORSEL_BOOT_PAGE_BYTES - MORSEL_BOOT_COMMAND_LINE - 1;
    if (files_.command_line.size() > most)
      fail(Exit::usage, "a kernel command line of " + std::to_string(files_.command_line.size()) + " bytes",
           "use at most " + std::to_string(most));
    const u64 at = MORSEL_BOOT_PAGE;
    const Module module{initramfs, initramfs_bytes_, 0, 0};
    const StartInfo info{.magic = start_info_magic,
                         .version = 1,
                         .flags = 0,
                         .modules = 1,
                         .module_list = at + MORSEL_BOOT_MODULE,
                         .command_line = at + MORSEL_BOOT_COMMAND_LINE,
                         .acpi_root = 0,  // Linux looks where every BIOS puts it
                         .memory_map = at + MORSEL_BOOT_MAP,
                         .map_entries = 0,
                         .reserved = 0};
    put(at + MORSEL_BOOT_ENTRY, &entry_, sizeof entry_);
    put(at + MORSEL_BOOT_START_INFO, &info, sizeof info);
    put(at + MORSEL_BOOT_MODULE, &module, sizeof module);
    put(at + MORSEL_BOOT_COMMAND_LINE, files_.command_line.data(), files_.command_line.size());
  }

 private:
  [[noreturn]] void fail(Exit exit, const std::string& found, const std::string& advice) const
  {
    throw Failure(exit, "loading " + files_.kernel.string() + " into the guest's memory", found, advice);
  }
  [[noreturn]] void not_a_kernel(const std::string& why) const
  {
    fail(Exit::usage, why, "it must be an uncompressed x86-64 Linux with CONFIG_PVH, as the target `kernel` makes it");
  }

  std::string contents_of(const fs::path& file) const
  {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) fail(Exit::usage, file.string() + " cannot be read", "build everything first (scripts/start does)");
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  void put(u64 at, const void* bytes, u64 count) { std::memcpy(memory_.data() + at, bytes, count); }

  // Linux wants its segments where p_paddr says; what is in memory only stays zero. Returns their end.
  u64 load_kernel()
  {
    const std::string file = contents_of(files_.kernel);
    Elf64_Ehdr header{};
    if (file.size() < sizeof header) not_a_kernel("it is no ELF file");
    std::memcpy(&header, file.data(), sizeof header);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_machine != EM_X86_64 || header.e_phentsize != sizeof(Elf64_Phdr))
      not_a_kernel("it is no ELF file for x86-64");
    u64 end = first_free;
    for (u64 i = 0; i < header.e_phnum; ++i) {
      Elf64_Phdr part{};
      if (!within(header.e_phoff + i * sizeof part, sizeof part, file.size())) not_a_kernel("its headers are cut off");
      std::memcpy(&part, file.data() + header.e_phoff + i * sizeof part, sizeof part);
      if (part.p_type != PT_LOAD && part.p_type != PT_NOTE) continue;
      if (!within(part.p_offset, part.p_filesz, file.size())) not_a_kernel("it is cut off");
      const std::string_view bytes(file.data() + part.p_offset, part.p_filesz);
      if (part.p_type == PT_NOTE) find_entry(bytes);
      if (part.p_type != PT_LOAD) continue;
      if (part.p_paddr < first_free || part.p_filesz > part.p_memsz || !within(part.p_paddr, part.p_memsz, usable()))
        fail(Exit::usage, "a segment of it is not within the guest's " + std::to_string(memory_.size()) + " bytes",
             "give the guest more memory");
      put(part.p_paddr, bytes.data(), bytes.size());
      end = std::max<u64>(end, part.p_paddr + part.p_memsz);
    }
    if (entry_ == 0) not_a_kernel("it has no PVH entry");
    return end;
  }

  // A note: sizes of name and description, type, name, description, both padded to 4 bytes.
  void find_entry(std::string_view notes)
  {
    while (notes.size() >= sizeof(Elf64_Nhdr)) {
      Elf64_Nhdr note{};
      std::memcpy(&note, notes.data(), sizeof note);
      const u64 name = sizeof note, description = name + align_up(u64{note.n_namesz}, 4);
      const u64 end = description + align_up(u64{note.n_descsz}, 4);
      if (!within(description, note.n_descsz, notes.size())) return;
      if (note.n_type == note_phys32_entry && notes.substr(name, note.n_namesz) == std::string_view("Xen\0", 4) &&
          note.n_descsz >= sizeof entry_)
        std::memcpy(&entry_, notes.data() + description, sizeof entry_);
      if (end > notes.size()) return;
      notes.remove_prefix(end);
    }
  }

  u64 load_initramfs(u64 kernel_end)
  {
    const std::string bytes = contents_of(files_.initramfs);
    initramfs_bytes_ = bytes.size();
    const u64 end = align_down(usable(), page_bytes);
    if (bytes.size() > end || (end - bytes.size()) < kernel_end)
      fail(Exit::usage, "the initramfs of " + std::to_string(bytes.size()) + " bytes does not fit behind the kernel",
           "give the guest more memory");
    const u64 start = align_down(end - bytes.size(), page_bytes);
    put(start, bytes.data(), bytes.size());
    return start;
  }

  static bool within(u64 start, u64 bytes, u64 size) { return start <= size && bytes <= size - start; }
  u64 usable() const { return memory_.size() - std::min<u64>(memory_.size(), bios_tables); }

  std::span<std::byte> memory_;
  const BootFiles& files_;
  u32 entry_ = 0;
  u64 initramfs_bytes_ = 0;
};

}  // namespace

void load_guest(std::span<std::byte> memory, const BootFiles& files) { Loader(memory, files).load(); }

std::string boot_rom()
{
  std::string rom(morsel_boot_rom, MORSEL_BOOT_ROM_BYTES);
  u8 sum = 0;
  for (const char byte : rom) sum = static_cast<u8>(sum + static_cast<u8>(byte));
  rom.back() = static_cast<char>(-sum);
  return rom;
}

}  // namespace morsel::testvm
