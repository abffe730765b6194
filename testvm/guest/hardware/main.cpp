// SPDX-License-Identifier: GPL-2.0-or-later
//
// morsel-hardware [--oracle TABLES [--seed SEED]]
// morsel-hardware --vtd | --vtd-oracle TABLES [--seed SEED]
//
// Lets this machine's second stage (NPT of AMD-V, or EPT of VMX) walk tables, and prints what it did beside what the
// format's header lets expect, as docs/hardware.md has it. With --oracle: so many random tables of that format, and of
// AMD64 as the guest's own, walked by the machine and by the engine's inspector. With --vtd and --vtd-oracle: the same
// by the IOMMU.
//
// Exit status: 0 machine and headers agree, 1 they do not, 2 wrong words, 77 there is no such hardware here.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <optional>
#include <string>

#include "engine/format/ept.hpp"
#include "engine/format/npt.hpp"
#include "testvm/guest/hardware/device_rows.hpp"
#include "testvm/guest/hardware/oracle.hpp"
#include "testvm/guest/hardware/row.hpp"

namespace {

using namespace morsel::guest;
using morsel::FormatId;
using morsel::u64;

constexpr Walker walkers[] = {
    {lab_format<morsel::Npt>, "npt", "NPT", "AMD-V nested paging", npt_lab_sections},
    {lab_format<morsel::EptL4>, "ept", "EPT", "VMX with EPT", ept_lab_sections},
};

// The one that this machine has; if it has none, why none of them.
const Walker& walker_here()
{
  int number = ENODEV;
  std::string reasons;
  for (const Walker& walker : walkers) try {
      const Lab lab(walker.format);
      return walker;
    } catch (const NoVcpu& lack) {
      if (lack.number != ENODEV) number = lack.number;
      reasons += (reasons.empty() ? "" : "; ") + std::string(walker.name) + ": " + lack.reason;
    }
  throw NoVcpu{number, reasons};
}

int usage()
{
  std::fprintf(stderr,
               "usage: morsel-hardware [--oracle TABLES [--seed SEED]]\n"
               "       morsel-hardware --vtd | --vtd-oracle TABLES [--seed SEED]\n");
  return 2;
}

void print(const Section& section)
{
  std::printf("\n### %s\n\nExpected by: %s.\n\n| | expected | seen |\n|---|---|---|\n", section.title.c_str(),
              section.source.c_str());
  for (const Row& row : section.rows)
    std::printf("| %s | %s | %s%s |\n", row.what.c_str(), row.expected.c_str(), row.seen.c_str(),
                row.agrees()     ? ""
                : row.is_known() ? " **(differs, as is known)**"
                                 : " **(differs)**");
}

// Prints the part of the matrix, and returns the exit status.
int print_part(const std::string& title, std::initializer_list<std::vector<Section>> parts)
{
  std::size_t rows = 0, differing = 0, known = 0;
  std::printf("## %s\n", title.c_str());
  for (const std::vector<Section>& part : parts)
    for (const Section& section : part) {
      print(section);
      rows += section.rows.size();
      for (const Row& row : section.rows) {
        differing += !row.agrees();
        known += row.is_known();
      }
    }
  std::printf("\n%zu rows, %zu of which differ%s.\n", rows, differing,
              known ? (", " + std::to_string(known) + " of them as is known").c_str() : "");
  return differing != known;
}

// AMD64 first: a process's tables are the same on each machine, and Linux's own; so one machine shows them.
int matrix(const Walker& walker)
{
  const std::string machine = walker.machine;
  int status = print_part("amd64, walked for a guest in user mode, its own tables over " + machine,
                          {own_stage_sections(walker.format)});
  std::printf("\n");
  if (walker.format.id == FormatId::npt) {
    status |= print_part("amd64, walked for a process", {process_sections()});
    std::printf("\n");
  }
  return status | print_part(std::string(walker.name) + ", walked by " + machine,
                             {walker.lab_sections(), object_sections(walker)});
}

int device_matrix()
{
  std::vector<Section> on_tables;
  {
    DeviceLab lab;  // gives the drive back before an object takes it
    on_tables = device_lab_sections(lab);
  }
  return print_part("vtd_second_stage, walked by Intel VT-d", {on_tables, device_object_sections()});
}

std::optional<u64> number(const char* text)
{
  char* end = nullptr;
  const u64 value = std::strtoull(text, &end, 0);
  return *text && !*end ? std::optional(value) : std::nullopt;
}

}  // namespace

int main(int argc, char** argv)
{
  const bool by_iommu = argc > 1 && !std::strncmp(argv[1], "--vtd", 5);
  const bool prints = argc == 1 || (argc == 2 && !std::strcmp(argv[1], "--vtd"));
  std::optional<u64> tables, seed;
  for (int i = 1; i < argc && !prints; i += 2) {
    if (i + 1 == argc) return usage();
    if (!std::strcmp(argv[i], by_iommu ? "--vtd-oracle" : "--oracle"))
      tables = number(argv[i + 1]);
    else if (!std::strcmp(argv[i], "--seed"))
      seed = number(argv[i + 1]);
    else
      return usage();
  }
  if (!prints && (!tables || (argc > 3 && !seed))) return usage();
  try {
    const u64 from = seed.value_or(20261120);
    if (by_iommu) return prints ? device_matrix() : compare_device_walks(*tables, from);
    const Walker& walker = walker_here();
    return prints ? matrix(walker) : compare_walks(walker.format.id, *tables, from);
  } catch (const NoVcpu& none) {
    std::fprintf(stderr, "morsel-hardware: no virtual CPU: %s (%s)\n", none.reason.c_str(), std::strerror(none.number));
    return 77;
  } catch (const NoDevice& none) {
    std::fprintf(stderr, "morsel-hardware: no device behind an IOMMU: %s (%s)\n", none.reason.c_str(),
                 std::strerror(none.number));
    return 77;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "morsel-hardware: %s\n", error.what());
    return 1;
  }
}
