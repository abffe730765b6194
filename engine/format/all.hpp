// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every format, and the step from a format chosen at run time to code made for it. The second and last place that a
// new format touches.
#pragma once
#include <utility>

#include "engine/base/expected.hpp"
#include "engine/format/amd64.hpp"
#include "engine/format/amd_iommu.hpp"
#include "engine/format/arm64.hpp"
#include "engine/format/ept.hpp"
#include "engine/format/format.hpp"
#include "engine/format/npt.hpp"
#include "engine/format/riscv.hpp"
#include "engine/format/vtd.hpp"

namespace morsel {

template <class... Fs>
struct FormatList {
  // Calls visit.template operator()<F>() with the format whose id is `id`; `otherwise` if there is none.
  template <class R, class V>
  static constexpr R dispatch(FormatId id, R otherwise, V&& visit)
  {
    R result = otherwise;
    (void)((Fs::id == id ? (result = visit.template operator()<Fs>(), true) : false) || ...);
    return result;
  }
  template <class V>
  static constexpr void for_each(V&& visit)
  {
    (visit.template operator()<Fs>(), ...);
  }
  static constexpr std::size_t count = sizeof...(Fs);
};

using AllFormats =
    FormatList<Amd64L4, Amd64L5, Npt, EptL4, EptL5, EptNoAd, EptMbe, VtdSecondStageL4, VtdSecondStageL5, AmdIommuV1,
               Arm64Stage1, Arm64Stage2, RiscvSv39, RiscvSv48, RiscvSv57, RiscvSv39x4, RiscvSv48x4>;

// The same facts as data, for whoever shows formats.
struct FormatInfo {
  FormatId id;
  std::string_view name;
  std::string_view title;
  std::span<const LevelInfo> levels;
  std::span<const Field> fields;
  u64 accessed_bit;
  u64 dirty_bit;
  bool break_before_make;
  bool caches_non_present;
  u8 address_shift_lg2;  // an address stands in a word shifted right by this
  EntryKind (*kind)(u64, Level);
  PhysAddr (*address)(u64, Level);
  Rights (*access)(u64, Level);
  bool (*may_be_dirty)(u64, Level);
  Rights (*reduce)(Rights);

  // The bits of an entry's word that name its target.
  constexpr u64 address_bits(u64 word, Level level) const { return address(word, level).value >> address_shift_lg2; }
};

template <PageFormat F>
constexpr FormatInfo describe()
{
  constexpr auto shift = static_cast<u8>(page_lg2 - static_cast<unsigned>(std::countr_zero(F::frame_mask(0))));
  return {F::id,
          F::name,
          F::title,
          F::levels,
          F::fields,
          F::accessed_bit,
          F::dirty_bit,
          F::break_before_make,
          F::caches_non_present,
          shift,
          F::kind,
          F::address,
          F::access,
          F::may_be_dirty,
          F::reduce};
}

inline constexpr auto format_table = []<class... Fs>(FormatList<Fs...>) {
  return std::array<FormatInfo, sizeof...(Fs)>{describe<Fs>()...};
}(AllFormats{});

constexpr const FormatInfo* find_format(FormatId id)
{
  for (const FormatInfo& f : format_table)
    if (f.id == id) return &f;
  return nullptr;
}
constexpr const FormatInfo* find_format(std::string_view name)
{
  for (const FormatInfo& f : format_table)
    if (f.name == name) return &f;
  return nullptr;
}

}  // namespace morsel
