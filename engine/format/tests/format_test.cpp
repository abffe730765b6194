// SPDX-License-Identifier: GPL-2.0-or-later
//
// Conformance of every format at every level against the independent slow decoder.
#include <gtest/gtest.h>

#include <random>

#include "engine/format/all.hpp"
#include "engine/format/tests/slow_decoder.hpp"

namespace morsel {
namespace {

class Format : public testing::TestWithParam<FormatInfo> {};

INSTANTIATE_TEST_SUITE_P(All, Format, testing::ValuesIn(format_table),
                         [](const auto& param) { return std::string(param.param.name); });

// Words that exercise every bit without being all refused: few bits, all bits but few, and plain random ones.
u64 random_word(std::mt19937_64& random)
{
  const u64 word = random();
  switch (random() % 5) {
    case 0: return word & random() & random();
    case 1: return (word & random()) | 1;
    case 2: return (word & ~bits(51, 12)) | (random() & bits(51, 30)) | 7;
    case 3: return (word & random() & (bits(62, 61) | bits(11, 0))) | (random() & bits(47, 40)) | (random() & 3);
    default: return word;
  }
}

void expect_as_the_slow_decoder_says(const FormatInfo& format, Level level, u64 word)
{
  const slow::Entry expected = slow::decode(std::string(format.name), word, level);
  const EntryKind kind = format.kind(word, level);
  const auto where = testing::Message() << format.name << " level " << int{level} << " word 0x" << std::hex << word;
  switch (expected.kind) {
    case slow::Kind::not_present:
      ASSERT_TRUE(kind == EntryKind::hole || kind == EntryKind::reserved || kind == EntryKind::moving ||
                  kind == EntryKind::malformed)
          << where;
      ASSERT_EQ(kind == EntryKind::hole, word == 0) << where;
      return;
    case slow::Kind::refused: ASSERT_EQ(kind, EntryKind::malformed) << where; return;
    case slow::Kind::table: ASSERT_EQ(kind, EntryKind::table) << where; break;
    case slow::Kind::leaf: ASSERT_EQ(kind, EntryKind::leaf) << where; break;
  }
  ASSERT_EQ(format.address(word, level).value, expected.address) << where;
  const Rights rights = format.access(word, level);
  ASSERT_EQ(rights.read(), expected.read) << where;
  ASSERT_EQ(rights.write(), expected.write) << where;
  ASSERT_EQ(rights.exec(), expected.exec) << where;
}

TEST_P(Format, DecodesRandomWordsAsTheManualsSay)
{
  const FormatInfo& format = GetParam();
  ASSERT_EQ(static_cast<int>(format.levels.size()), slow::depth(std::string(format.name)));
  std::mt19937_64 random(20221);
  for (Level level = 0; level < format.levels.size(); ++level) {
    std::array<int, 6> seen{};
    for (int i = 0; i < 50'000; ++i) {
      const u64 word = random_word(random);
      expect_as_the_slow_decoder_says(format, level, word);
      ++seen[static_cast<std::size_t>(format.kind(word, level))];
    }
    const auto count = [&](EntryKind kind) { return seen[static_cast<std::size_t>(kind)]; };
    EXPECT_GT(count(EntryKind::malformed), 20) << int{level};
    EXPECT_EQ(count(EntryKind::table) > 20, level > 0) << int{level} << ": " << count(EntryKind::table);
    EXPECT_EQ(count(EntryKind::leaf) > 20, format.levels[level].leaf_allowed)
        << int{level} << ": " << count(EntryKind::leaf);
  }
}

TEST_P(Format, DecodesItsOwnEntriesWithUpToTwoBitsFlipped)
{
  const FormatInfo& format = GetParam();
  AllFormats::dispatch(format.id, false, [&]<class F>() {
    for (Level level = 0; level < F::levels.size(); ++level) {
      std::vector<u64> words;
      if (level > 0) words.push_back(F::make_table(PhysAddr{0x12345000}, level));
      if (F::levels[level].leaf_allowed)
        for (u8 r = 1; r < 8; ++r)
          if (const Rights rights = F::reduce(Rights::from_bits(r)); !rights.none())
            words.push_back(
                F::make_leaf(PhysAddr{align_down(u64{3} << 45, entry_bytes<F>(level))}, level, {rights, true, true}));
      for (const u64 word : words)
        for (unsigned n = 0; n < 64; ++n)
          for (unsigned m = n; m < 64; ++m) expect_as_the_slow_decoder_says(format, level, word ^ bit(n) ^ bit(m));
    }
    return true;
  });
}

TEST_P(Format, SetsOfSoftwareWordsAreRecognisedAtEveryLevel)
{
  const FormatInfo& format = GetParam();
  std::mt19937_64 random(7);
  for (Level level = 0; level < format.levels.size(); ++level)
    for (int i = 0; i < 1000; ++i) {
      const u64 token = random() & software::max_token;
      const auto stale = random() % 2 ? software::Stale::yes : software::Stale::no;
      const u64 reserved = software::make_reserved(token, stale);
      ASSERT_EQ(format.kind(reserved, level), EntryKind::reserved);
      ASSERT_EQ(software::reserved_token(reserved), token);
      ASSERT_EQ(software::is_stale(reserved), stale == software::Stale::yes);
      const software::Moving m{PhysAddr{random() & bits(47, 12)}, right_read | Rights::from_bits(random() & 6),
                               random() & software::max_moving_token, random() % 2 == 1};
      const software::Moving back = software::read_moving(software::make_moving(m));
      ASSERT_EQ(format.kind(software::make_moving(m), level), EntryKind::moving);
      ASSERT_EQ(back.frame, m.frame);
      ASSERT_EQ(back.rights, m.rights);
      ASSERT_EQ(back.token, m.token);
      ASSERT_EQ(back.copy_on_write, m.copy_on_write);
    }
}

// L1TF: the address that a speculating CPU would take from a non-present word lies in the upper half of 46 bits.
TEST(SoftwareWord, NamesNoPlausibleAddress)
{
  for (u64 token = 1; token < (u64{1} << 33); token = token * 3 + 1)
    EXPECT_TRUE(software::make_reserved(token, software::Stale::no) & bit(45)) << token;
  for (u64 frame = 0x1000; frame < (u64{1} << 44); frame = frame * 2 + 0x1000)
    EXPECT_TRUE(software::make_moving({PhysAddr{frame}, rights_rw, 1}) & bit(45)) << frame;
}

// The same wherever a format has its frame's address.
TEST_P(Format, TheAddressInAReservationLiesBeyondAnyMemory)
{
  const FormatInfo& format = GetParam();
  for (const Field& field : format.fields) {
    if (field.name != "frame" || !(field.shapes & in_leaf)) continue;
    for (u64 token = 1; token < (u64{1} << 32); token = token * 3 + 1) {
      const u64 address = (software::make_reserved(token, software::Stale::yes) & field.mask)
                          << format.address_shift_lg2;
      EXPECT_GE(address, u64{1} << 45) << token;
    }
  }
}

TEST(SoftwareWord, AWordOfAnotherClassIsMalformed)
{
  for (const FormatInfo& format : format_table)
    for (Level level = 0; level < format.levels.size(); ++level) {
      EXPECT_EQ(format.kind(bit(62), level), EntryKind::malformed);
      EXPECT_EQ(format.kind(software::class_word, level), EntryKind::malformed);
      EXPECT_EQ(format.kind(software::make_reserved(1, software::Stale::no) | bit(9), level), EntryKind::malformed);
    }
}

TEST(FormatTable, FindsEveryFormatByNameAndId)
{
  EXPECT_EQ(format_table.size(), AllFormats::count);
  for (const FormatInfo& f : format_table) {
    EXPECT_EQ(find_format(f.name), &f);
    EXPECT_EQ(find_format(f.id), &f);
  }
  EXPECT_EQ(find_format("x86"), nullptr);
}

}  // namespace
}  // namespace morsel
