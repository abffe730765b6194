// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/inspect/walk.hpp"

#include <random>
#include <set>
#include <tuple>

#include "engine/inspect/tests/inspect_fixture.hpp"

namespace morsel::inspect {
namespace {

TEST(Decode, TakesFieldsFromTheFormat)
{
  const FormatInfo& ept = *find_format("ept");
  const DecodedEntry d = decode(ept, 0, EptL4::make_leaf(PhysAddr{0x7f3000}, 0, {rights_rw, true, true}));
  EXPECT_EQ(one_line(d), "leaf 0x7f3000 rw- A D");
  ASSERT_FALSE(d.fields.empty());
  EXPECT_EQ(d.fields.front().name, "SVE");
  const auto field = [&](std::string_view name) {
    for (const DecodedField& f : d.fields)
      if (f.name == name) return f;
    ADD_FAILURE() << name;
    return d.fields.front();
  };
  EXPECT_EQ(field("MT").value, 6u);
  EXPECT_EQ(field("frame").value, 0x7f3000u);
  EXPECT_EQ(field("R").source, "SDM 3C §29.3.2");
}

TEST(Decode, SaysWhatIsWrongWithAMalformedEntry)
{
  const FormatInfo& amd64 = *find_format("amd64");
  const DecodedEntry d = decode(amd64, 1, Amd64L4::make_leaf(PhysAddr{4 * MiB}, 1, {rights_rw, true, false}) | bit(14));
  EXPECT_EQ(d.kind, EntryKind::malformed);
  EXPECT_EQ(d.reserved_bits, bit(14));
  EXPECT_EQ(one_line(d), "malformed, reserved bits 0x4000");
  EXPECT_EQ(one_line(decode(*find_format("ept"), 0, EptL4::write)),
            "malformed: a combination that hardware refuses, or that no tree here uses");
  EXPECT_EQ(one_line(decode(amd64, 0, 0)), "hole");
  EXPECT_EQ(one_line(decode(amd64, 0, software::make_reserved(12, software::Stale::yes))), "reserved, token 12, stale");
  EXPECT_EQ(one_line(decode(amd64, 0, software::make_moving({PhysAddr{0x5000}, rights_rw, 3}))),
            "moving 0x5000 rw-, token 3");
}

TEST(Decode, NamesEveryBitOfEveryWordOnceOrCallsItReserved)
{
  std::mt19937_64 random(5);
  for (const FormatInfo& format : format_table)
    for (Level level = 0; level < format.levels.size(); ++level)
      for (int i = 0; i < 2000; ++i) {
        const u64 word = random() | 1;
        const DecodedEntry d = decode(format, level, word);
        u64 seen = 0;
        for (const DecodedField& f : d.fields) {
          ASSERT_EQ(seen & f.mask, 0u);
          seen |= f.mask;
        }
        ASSERT_EQ(word & ~seen, d.reserved_bits) << format.name << " level " << int{level} << " word " << word;
      }
}

// EPT in pages 0..3 maps guest-physical 0..64 KiB to memory's pages 16.., and the guest's own tables (AMD64, 4 levels)
// stand in guest pages 0..3, mapping virtual 0x1000 to guest page 5.
struct Nested {
  TestMemory m;
  Nested()
  {
    for (u64 level = 0; level < 3; ++level) m.word(level, 0) = EptL4::make_table(m.page(level + 1));
    for (u64 i = 0; i < 16; ++i) m.word(3, i) = EptL4::make_leaf(m.page(16 + i), 0, {rights_all, true, false});
    for (u64 level = 0; level < 3; ++level) m.word(16 + level, 0) = Amd64L4::make_table(PhysAddr{(level + 1) * 4096});
    m.word(16 + 3, 1) = Amd64L4::make_leaf(PhysAddr{5 * 4096}, 0, {rights_rw, true, false});
  }
  NestedWalkTrace walk(u64 address, Rights wanted)
  {
    return trace_nested_walk(m.memory(), {FormatId::amd64, {0}, 3}, {FormatId::ept, m.page(0), 3}, address, wanted);
  }
};

TEST(NestedWalk, TouchesTwentyFourEntries)
{
  Nested n;
  const NestedWalkTrace t = n.walk(0x1008, right_read);
  ASSERT_EQ(t.end, WalkEnd::translated);
  EXPECT_EQ(t.target, n.m.page(16 + 5) + 8);
  EXPECT_EQ(t.guest.size(), 4u);
  ASSERT_EQ(t.nested.size(), 5u);
  u64 touched = t.guest.size();
  for (const WalkTrace& w : t.nested) touched += w.steps.size();
  EXPECT_EQ(touched, 24u);
}

TEST(NestedWalk, SaysWhichDimensionRefused)
{
  Nested n;
  EXPECT_EQ(n.walk(0x1000, right_exec).end, WalkEnd::denied);
  EXPECT_EQ(n.walk(0x2000, right_read).end, WalkEnd::not_present);
  n.m.word(3, 2) = 0;  // the guest's page-directory table is not mapped
  const NestedWalkTrace t = n.walk(0x1000, right_read);
  EXPECT_EQ(t.end, WalkEnd::not_present);
  EXPECT_EQ(t.guest.size(), 2u);
  EXPECT_EQ(t.nested.size(), 3u);
}

TEST(Names, OfKindsAndOfEndsOfAWalkAreDistinct)
{
  std::set<std::string_view> names;
  for (const auto kind : {EntryKind::hole, EntryKind::table, EntryKind::leaf, EntryKind::reserved, EntryKind::moving,
                          EntryKind::malformed})
    EXPECT_TRUE(names.insert(kind_name(kind)).second);
  names.clear();
  for (const auto end : {WalkEnd::translated, WalkEnd::not_present, WalkEnd::denied, WalkEnd::malformed,
                         WalkEnd::outside_memory})
    EXPECT_TRUE(names.insert(walk_end_name(end)).second);
  EXPECT_FALSE(names.count("unknown"));
  EXPECT_EQ(kind_name(static_cast<EntryKind>(99)), "unknown");
  EXPECT_EQ(walk_end_name(static_cast<WalkEnd>(99)), "unknown");
}

// Tables of a format in 32 pages, the root in the first four, and in the others one of each level below it in turn. One
// word in 16 has a flipped bit, one leads to a page of any level, one is nothing.
template <PageFormat F>
class RandomTables {
 public:
  explicit RandomTables(std::mt19937_64& random) : random_(random)
  {
    u64 at = 0;
    for (u64& word : memory_.words()) word = random_word(level_of(at++ / entries_per_page));
  }
  const TestMemory& memory() const { return memory_; }

 private:
  static constexpr u64 pages = 32, root_pages = 4, entries_per_page = 512;

  static Level level_of(u64 page) { return page < root_pages ? top_level<F> : static_cast<Level>(page % top_level<F>); }

  u64 random_word(Level level)
  {
    const u64 damage = random_() % 16;
    if (damage == 0) return 0;
    const bool leaf = level == 0 || (F::levels[level].leaf_allowed && random_() % 4 == 0);
    u64 target = random_() % pages;
    while (!leaf && damage != 1 && level_of(target) != level - 1u) target = random_() % pages;
    const Rights rights = F::reduce(Rights::from_bits(static_cast<u8>(random_() | random_())));
    if (rights.none()) return 0;
    const LeafAttributes attributes{rights, random_() % 2 == 0, random_() % 2 == 0};
    const u64 word = leaf ? F::make_leaf(PhysAddr{target * entry_bytes<F>(level)}, level, attributes)
                          : F::make_table(memory_.page(target), level);
    return damage == 2 ? word ^ bit(static_cast<unsigned>(random_() % 64)) : word;
  }

  std::mt19937_64& random_;
  TestMemory memory_{pages};
};

// How many of 100 walks through each of 60 such memories end at a frame.
template <PageFormat F>
u64 compare_with_slow_walker(std::mt19937_64& random)
{
  constexpr LevelInfo root = F::levels.back();
  u64 translated = 0;
  for (int round = 0; round < 60; ++round) {
    const RandomTables<F> tables(random);
    const TestMemory& m = tables.memory();
    for (int probe = 0; probe < 100; ++probe) {
      const u64 offset = random() & bits(root.shift_lg2 + root.index_bits - 1u, 0);
      const WalkTrace t = trace_walk(m.memory(), {F::id, m.page(0), top_level<F>}, offset, Rights{});
      const auto s = slow::walk(std::string(F::name), m.page(0).value, top_level<F>, offset,
                                [&](u64 table, u64 index) { return m.read(table, index); });
      EXPECT_EQ(t.end == WalkEnd::translated, s.has_value()) << F::name;
      if (t.end != WalkEnd::translated || !s) continue;
      ++translated;
      EXPECT_EQ(t.target.value, s->address) << F::name;
      EXPECT_EQ(std::tuple(t.rights.read(), t.rights.write(), t.rights.exec()), std::tuple(s->read, s->write, s->exec))
          << F::name;
    }
  }
  return translated;
}

TEST(Walk, AgreesWithTheSlowWalkerOnRandomMemory)
{
  std::mt19937_64 random(17);
  AllFormats::for_each([&]<class F>() {
    EXPECT_GT(compare_with_slow_walker<F>(random), 500u) << F::name << ": the test would prove little";
  });
}

}  // namespace
}  // namespace morsel::inspect
