// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/dump_file.hpp"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

using Bytes = std::span<const std::byte>;

// What people take for a dump, by its first bytes.
struct KnownFile {
  std::string_view magic, is, advice;
};
constexpr std::string_view as_elf =
    "Take it as ELF: 'virsh dump --memory-only DOMAIN FILE' or, in QEMU's monitor, "
    "'dump-guest-memory FILE', both without a compressed format.";
constexpr std::string_view unpack = "Unpack it first.";
constexpr std::array known_files{
    KnownFile{"KDUMP   ", "a dump in kdump's compressed format", as_elf},
    KnownFile{"makedumpfile", "a dump in makedumpfile's flattened format", as_elf},
    KnownFile{"PAGEDU64", "a Windows crash dump", as_elf},
    KnownFile{"PAGEDUMP", "a Windows crash dump", as_elf},
    KnownFile{"LibvirtQemudSave", "a domain that 'virsh save' suspended", as_elf},
    KnownFile{"LibvirtQemudPart", "an incomplete file of 'virsh save'", as_elf},
    KnownFile{"QEVM", "a state that QEMU migrated into a file", as_elf},
    KnownFile{"QFI\xfb", "a qcow2 disk image", as_elf},
    KnownFile{"EMiL", "an image of LiME", "Take a raw one (format=raw), and say where its memory belongs (--layout)."},
    KnownFile{"\x1f\x8b", "compressed by gzip", unpack},
    KnownFile{"\xfd"
              "7zXZ",
              "compressed by xz", unpack},
    KnownFile{"\x28\xb5\x2f\xfd", "compressed by zstd", unpack},
    KnownFile{"BZh", "compressed by bzip2", unpack},
};

std::string_view machine_name(u16 machine)
{
  switch (machine) {
    case EM_X86_64: return "x86-64";
    case EM_386: return "i386";
    case EM_AARCH64: return "arm64";
    case EM_RISCV: return "RISC-V";
    default: return "another machine";
  }
}

std::string_view trimmed(const char* text, std::size_t bytes)
{
  const std::string_view whole(text, bytes);
  return whole.substr(0, whole.find('\0'));
}

class Reader {
 public:
  Reader(Bytes bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Dump run()
  {
    check_kind();
    const auto header = get<Elf64_Ehdr>(0, "its header");
    if (header.e_type != ET_CORE)
      refuse(fmt::format("it is an ELF file of type {}, and no core (type {})", header.e_type, ET_CORE),
             "A program or a kernel image is no dump of a machine's memory.");
    if (header.e_phentsize != sizeof(Elf64_Phdr))
      refuse(fmt::format("its program headers have {} bytes instead of {}", header.e_phentsize, sizeof(Elf64_Phdr)));
    machine_ = header.e_machine;
    dump_.machine = machine_name(machine_);
    const u64 count = header.e_phnum == PN_XNUM ? many_headers(header) : header.e_phnum;
    check_extent(header.e_phoff, count, sizeof(Elf64_Phdr), fmt::format("its {} program headers", count));
    for (u64 n = 0; n < count; ++n) {
      const auto segment = get<Elf64_Phdr>(header.e_phoff + n * sizeof(Elf64_Phdr), "a program header");
      if (segment.p_type == PT_LOAD) load(segment, n);
      if (segment.p_type == PT_NOTE) notes(segment, n);
    }
    if (dump_.segments.empty())
      refuse("it holds no memory", "A dump of a machine has PT_LOAD segments with physical addresses.");
    separate();
    find_kernel();
    return std::move(dump_);
  }

 private:
  [[noreturn]] void refuse(const std::string& found, const std::string& advice = {}) const
  {
    throw Failure(Exit::usage, "read the dump " + name_, found, advice);
  }

  void check_kind() const
  {
    if (bytes_.empty()) refuse("it is empty");
    const std::string_view begin(reinterpret_cast<const char*>(bytes_.data()),
                                 std::min<std::size_t>(bytes_.size(), 64));
    for (const KnownFile& known : known_files)
      if (begin.starts_with(known.magic)) refuse(fmt::format("it is {}", known.is), std::string(known.advice));
    if (!begin.starts_with(ELFMAG))
      refuse("it is no ELF core",
             "A raw image of a guest's RAM needs to be told where its memory belongs: "
             "--layout flat, q35 or pc.");
    if (bytes_.size() < EI_NIDENT || begin[EI_CLASS] != ELFCLASS64 || begin[EI_DATA] != ELFDATA2LSB)
      refuse("it is an ELF file, but not of 64 bits and little-endian");
  }

  void check_extent(u64 offset, u64 count, u64 size, const std::string& what) const
  {
    if (offset > bytes_.size() || count > (bytes_.size() - offset) / size)
      refuse(fmt::format("{} would lie at {:#x}, with {} bytes each, and the file ends at {:#x}", what, offset, size,
                         bytes_.size()),
             "It is damaged, or was cut: was the disk full when it was written?");
  }

  template <class T>
  T get(u64 offset, const char* what) const
  {
    check_extent(offset, 1, sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }

  // More than e_phnum can say: the number stands in the first section header.
  u64 many_headers(const Elf64_Ehdr& header) const
  {
    return get<Elf64_Shdr>(header.e_shoff, "the section header with the number of program headers").sh_info;
  }

  void load(const Elf64_Phdr& segment, u64 number)
  {
    if (segment.p_paddr == ~u64{0}) return;  // virtual memory only, as in /proc/kcore
    if (segment.p_filesz > segment.p_memsz || segment.p_paddr > ~u64{0} - segment.p_memsz)
      refuse(fmt::format("segment {} has {:#x} bytes of {:#x} at {:#x}, which cannot be", number, segment.p_filesz,
                         segment.p_memsz, segment.p_paddr));
    if (segment.p_offset > bytes_.size() || segment.p_filesz > bytes_.size() - segment.p_offset)
      refuse(fmt::format("segment {} would lie at {:#x} in the file, with {:#x} bytes, and the file ends at {:#x}",
                         number, segment.p_offset, segment.p_filesz, bytes_.size()),
             "It was cut: was the disk full when it was written?");
    dump_.left_out += segment.p_memsz - segment.p_filesz;
    const u64 start = segment.p_paddr > ~u64{0} - page_bytes ? 0 : align_up(segment.p_paddr, page_bytes);
    const u64 end = align_down(segment.p_paddr + segment.p_filesz, page_bytes);
    if (start < end && start >= segment.p_paddr)
      dump_.segments.push_back({start, end - start, bytes_.data() + segment.p_offset + (start - segment.p_paddr)});
  }

  // Where two segments hold the same memory, the first keeps it: kdump has the kernel's text twice.
  void separate()
  {
    auto& all = dump_.segments;
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
    std::vector<inspect::MemorySegment> apart;
    u64 covered = 0;
    for (inspect::MemorySegment s : all) {
      const u64 cut = std::min(covered > s.start ? covered - s.start : 0, s.bytes);
      s = {s.start + cut, s.bytes - cut, s.host + cut};
      if (s.bytes == 0) continue;
      covered = s.start + s.bytes;
      const bool continues = !apart.empty() && apart.back().start + apart.back().bytes == s.start &&
                             apart.back().host + apart.back().bytes == s.host;
      if (continues)
        apart.back().bytes += s.bytes;
      else
        apart.push_back(s);
    }
    all = std::move(apart);
  }

  void notes(const Elf64_Phdr& segment, u64 number)
  {
    if (segment.p_offset > bytes_.size() || segment.p_filesz > bytes_.size() - segment.p_offset)
      refuse(fmt::format("the notes in segment {} lie behind the end of the file", number), "It was cut.");
    Bytes rest = bytes_.subspan(segment.p_offset, segment.p_filesz);
    while (rest.size() >= sizeof(Elf64_Nhdr)) {
      Elf64_Nhdr note;
      std::memcpy(&note, rest.data(), sizeof note);
      rest = rest.subspan(sizeof note);
      const u64 name_bytes = align_up(note.n_namesz, 4), bytes = align_up(note.n_descsz, 4);
      if (name_bytes > rest.size() || bytes > rest.size() - name_bytes) return;  // the rest is no note
      const std::string_view name = trimmed(reinterpret_cast<const char*>(rest.data()), note.n_namesz);
      const Bytes content = rest.subspan(name_bytes, note.n_descsz);
      if (name == "QEMU") qemu_note(content);
      if (name == "VMCOREINFO") kernel_note({reinterpret_cast<const char*>(content.data()), content.size()});
      rest = rest.subspan(name_bytes + bytes);
    }
  }

  // QEMUCPUState of version 1 (QEMU target/i386/arch_dump.c): version and size, 18 registers with RIP as the 17th, ten
  // segments of 24 bytes, CR0 to CR4.
  void qemu_note(Bytes content)
  {
    constexpr std::size_t rip = 8 + 16 * 8, cr0 = 8 + 18 * 8 + 10 * 24, end = cr0 + 5 * 8;
    if (machine_ != EM_X86_64 || content.size() < end) return;
    u32 version = 0;
    std::memcpy(&version, content.data(), sizeof version);
    if (version != 1) return;
    const auto word = [&](std::size_t at) {
      u64 value = 0;
      std::memcpy(&value, content.data() + at, sizeof value);
      return value;
    };
    dump_.cpus.push_back({word(rip), word(cr0), word(cr0 + 3 * 8), word(cr0 + 4 * 8)});
  }

  // Lines KEY=VALUE that the kernel has left for its dump (Linux Documentation/admin-guide/kdump/vmcoreinfo.rst).
  void kernel_note(std::string_view text)
  {
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
      const std::size_t equals = line.find('=');
      if (equals == std::string_view::npos) continue;
      const std::string_view key = line.substr(0, equals), value = line.substr(equals + 1);
      if (key == "OSRELEASE") dump_.release = printable(value.substr(0, 64));
      if (key == "SYMBOL(swapper_pg_dir)" || key == "SYMBOL(init_top_pgt)") read_number(value, 16, tables_at_);
      if (key == "NUMBER(phys_base)") read_number(value, 10, moved_by_);
      if (key == "NUMBER(pgtable_l5_enabled)") read_number(value, 10, five_levels_);
    }
  }

  template <class T>
  static void read_number(std::string_view text, int base, std::optional<T>& to)
  {
    T value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error == std::errc()) to = value;
  }

  // The kernel's image is mapped at __START_KERNEL_map (Linux arch/x86/include/asm/page_64_types.h), and stands in
  // memory phys_base higher than it was linked for.
  void find_kernel()
  {
    constexpr u64 image = 0xffffffff80000000;
    if (machine_ != EM_X86_64 || !tables_at_ || !moved_by_ || *tables_at_ < image) return;
    const FormatId format = five_levels_.value_or(0) != 0 ? FormatId::amd64_l5 : FormatId::amd64;
    dump_.kernel = {format, PhysAddr{*tables_at_ - image + static_cast<u64>(*moved_by_)},
                    static_cast<Level>(find_format(format)->levels.size() - 1), inspect::Maker::foreign};
  }

  const Bytes bytes_;
  const std::string& name_;
  Dump dump_;
  u16 machine_ = EM_NONE;
  std::optional<u64> tables_at_;
  std::optional<std::int64_t> moved_by_;
  std::optional<u64> five_levels_;
};

Dump read_raw(Bytes bytes, const std::string& name, MemoryLayout layout)
{
  const std::string tried = "read the memory image " + name;
  if (bytes.empty()) throw Failure(Exit::usage, tried, "it is empty");
  if (!is_aligned(bytes.size(), page_bytes))
    throw Failure(Exit::usage, tried, fmt::format("its {} bytes are no multiple of 4 KiB", bytes.size()),
                  "It was cut, or is no image of RAM.");
  Dump dump;
  for (const MemoryPart& part : memory_parts(layout, bytes.size()))
    dump.segments.push_back({part.guest_start, part.bytes, bytes.data() + part.file_offset});
  return dump;
}

}  // namespace

Dump read_dump(std::span<const std::byte> bytes, const std::string& name, std::optional<MemoryLayout> layout)
{
  return layout ? read_raw(bytes, name, *layout) : Reader(bytes, name).run();
}

std::optional<inspect::TreeSource> tables_of(const CpuState& cpu)
{
  constexpr u64 paging = bit(31), extensions = bit(5), five_levels = bit(12);  // CR0.PG, CR4.PAE, CR4.LA57
  if (!(cpu.cr0 & paging) || !(cpu.cr4 & extensions)) return {};
  const FormatId format = cpu.cr4 & five_levels ? FormatId::amd64_l5 : FormatId::amd64;
  return inspect::TreeSource{format, inspect::root_in_register(format, cpu.cr3),
                             static_cast<Level>(find_format(format)->levels.size() - 1), inspect::Maker::foreign};
}

}  // namespace morsel::session
