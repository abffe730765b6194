// SPDX-License-Identifier: GPL-2.0-or-later
//
// An object on the embedded machine, its views, and a judge that shares nothing with the engine: the slow walker.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <utility>

#include "engine/format/tests/slow_decoder.hpp"
#include "engine/sim/machine.hpp"

namespace morsel::testing_support {

class EngineFixture {
 public:
  explicit EngineFixture(u64 bytes, Level root_level, u64 memory_bytes = u64{256} << 20) : machine(memory_bytes)
  {
    auto p = platform();
    const Status s = create(p, o.object, bytes, root_level);
    EXPECT_TRUE(s) << error_name(s.error());
  }
  ~EngineFixture()
  {
    while (!o.views.empty()) drop(o.views.begin()->first);
    auto p = platform();
    destroy(p, o.object);
    EXPECT_EQ(o.tables, 0u) << "tables leaked";
    EXPECT_EQ(o.frames, 0u) << "frames leaked";
    EXPECT_EQ(machine.arena().used_pages(), 0u);
  }
  EngineFixture(const EngineFixture&) = delete;
  EngineFixture& operator=(const EngineFixture&) = delete;

  sim::EmbeddedPlatform platform() { return {machine, o}; }

  View& add(FormatId format)
  {
    TreeId number = 1;
    while (o.object.views[number - 1u]) ++number;
    View& v = *(o.views[number] = std::make_unique<View>());
    auto p = platform();
    const Status s = add_view(p, o.object, v, format, number);
    EXPECT_TRUE(s) << error_name(s.error());
    return v;
  }
  void drop(TreeId number)
  {
    auto p = platform();
    drop_view(p, o.object, *o.views.at(number));
    o.views.erase(number);
  }

  // The operations' results as pages, or the error.
  Expected<u64> populate(Range r, Rights rights = rights_rw, Level leaf_level = 0)
  {
    auto p = platform();
    return morsel::populate(p, o.object, r, rights, leaf_level);
  }
  Expected<u64> unmap(Range r)
  {
    auto p = platform();
    return morsel::unmap(p, o.object, r);
  }
  Expected<u64> protect(Range r, Rights rights)
  {
    auto p = platform();
    return morsel::protect(p, o.object, r, rights);
  }
  Expected<FillOutcome> fill(View& v, u64 offset, Rights want = right_read)
  {
    auto p = platform();
    return morsel::fill(p, o.object, v, offset, want);
  }

  // What the slow walker finds in a tree.
  std::optional<slow::Translation> translation(const Tree& tree, u64 offset) const
  {
    const auto& arena = const_cast<sim::Machine&>(machine).arena();
    return slow::walk(std::string(find_format(tree.format)->name), tree.root.value, tree.root_level, offset,
                      [&](u64 table, u64 index) { return arena.words(PhysAddr{table})[index]; });
  }
  std::optional<slow::Translation> primary(u64 offset) const { return translation(o.object.primary, offset); }

  sim::Machine machine;
  sim::EmbeddedObject o;
};

// An actor to whom something happens just before it installs a moved page.
struct OvertakenPlatform : sim::EmbeddedPlatform {
  using EmbeddedPlatform::EmbeddedPlatform;
  bool compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
  {
    if (at == SyncPoint::install && meanwhile) std::exchange(meanwhile, {})(e, software::read_moving(expected).token);
    return EmbeddedPlatform::compare_exchange(at, e, expected, desired);
  }
  std::function<void(const EntryRef&, u64 token)> meanwhile;
};

inline u64 holders(const Object& object)
{
  u64 sum = 0;
  for (const Counter& token : object.move_tokens) sum += token.value;
  return sum;
}

inline constexpr u64 KiB = 1024;
inline constexpr u64 MiB = 1024 * KiB;
inline constexpr u64 GiB = 1024 * MiB;

}  // namespace morsel::testing_support
