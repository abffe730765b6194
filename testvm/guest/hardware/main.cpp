// SPDX-License-Identifier: GPL-2.0-or-later
//
// morsel-hardware [--oracle TABLES [--seed SEED]]
//
// Lets this machine's second stage (NPT of AMD-V, or EPT of VMX) walk tables, and prints what it did beside what the
// format's header lets expect, as docs/hardware.md has it. With --oracle: so many random tables of that format, and of
// AMD64 as the guest's own, walked by the machine and by the engine's inspector.
//
// Exit status: 0 machine and headers agree, 1 they do not, 2 wrong words, 77 there is no virtual CPU here.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <string>

#include "engine/format/ept.hpp"
#include "engine/format/npt.hpp"
#include "testvm/guest/hardware/oracle.hpp"
#include "testvm/guest/hardware/row.hpp"

namespace {

using namespace morsel::guest;
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
  std::fprintf(stderr, "usage: morsel-hardware [--oracle TABLES [--seed SEED]]\n");
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

int matrix(const Walker& walker)
{
  std::size_t rows = 0, differing = 0, known = 0;
  const auto print_all = [&](const std::vector<Section>& sections) {
    for (const Section& section : sections) {
      print(section);
      rows += section.rows.size();
      for (const Row& row : section.rows) {
        differing += !row.agrees();
        known += row.is_known();
      }
    }
  };
  std::printf("## %s, walked by %s\n", walker.name, walker.machine);
  print_all(walker.lab_sections());
  print_all(object_sections(walker));
  std::printf("\n%zu rows, %zu of which differ%s.\n", rows, differing,
              known ? (", " + std::to_string(known) + " of them as is known").c_str() : "");
  return differing != known;
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
  std::optional<u64> tables, seed;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return usage();
    if (!std::strcmp(argv[i], "--oracle"))
      tables = number(argv[i + 1]);
    else if (!std::strcmp(argv[i], "--seed"))
      seed = number(argv[i + 1]);
    else
      return usage();
  }
  if (argc > 1 && (!tables || (argc > 3 && !seed))) return usage();
  try {
    const Walker& walker = walker_here();
    return tables ? compare_walks(walker.format.id, *tables, seed.value_or(20261120)) : matrix(walker);
  } catch (const NoVcpu& none) {
    std::fprintf(stderr, "morsel-hardware: no virtual CPU: %s (%s)\n", none.reason.c_str(), std::strerror(none.number));
    return 77;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "morsel-hardware: %s\n", error.what());
    return 1;
  }
}
