// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/inspect/walk.hpp"

#include <set>

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

TEST(Walk, AgreesWithTheSlowWalkerOnRandomMemory)
{
  std::mt19937_64 random(17);
  u64 translated = 0;
  for (int round = 0; round < 60; ++round) {
    TestMemory m(32);
    for (u64& w : m.words())
      if (random() % 8)
        w = m.page(random() % 32).value | (random() & 7) | 1 | (random() % 4 ? 0 : random() & bits(11, 3)) |
            (u64{6} << 3);
    for (const FormatInfo& format : format_table) {
      const auto top = static_cast<Level>(format.levels.size() - 1);
      for (int probe = 0; probe < 100; ++probe) {
        const u64 offset = random() & bits(47, 0);
        const WalkTrace t = trace_walk(m.memory(), {format.id, m.page(0), top}, offset, Rights{});
        const auto s = slow::walk(std::string(format.name), m.page(0).value, top, offset,
                                  [&](u64 table, u64 index) { return m.read(table, index); });
        ASSERT_EQ(t.end == WalkEnd::translated, s.has_value()) << format.name;
        if (!s) continue;
        ++translated;
        ASSERT_EQ(t.target.value, s->address);
        ASSERT_EQ(t.rights.read(), s->read);
        ASSERT_EQ(t.rights.write(), s->write);
        ASSERT_EQ(t.rights.exec(), s->exec);
      }
    }
  }
  EXPECT_GT(translated, 1000u) << "the test would prove nothing";
}

}  // namespace
}  // namespace morsel::inspect
