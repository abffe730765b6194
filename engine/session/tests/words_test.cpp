// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/words.hpp"

#include <gtest/gtest.h>

#include <array>

namespace morsel::session {
namespace {

TEST(Numbers, AreDecimalHexadecimalAndWithUnits)
{
  EXPECT_EQ(parse_number("n", "4096"), 4096u);
  EXPECT_EQ(parse_number("n", "0x1000"), 4096u);
  EXPECT_EQ(parse_number("n", "0XfF"), 255u);
  EXPECT_EQ(parse_number("n", "4K"), 4096u);
  EXPECT_EQ(parse_number("n", "4k"), 4096u);
  EXPECT_EQ(parse_number("n", "0x10K"), 16384u);
  EXPECT_EQ(parse_number("n", "2MiB"), u64{2} << 20);
  EXPECT_EQ(parse_number("n", "1G"), u64{1} << 30);
  EXPECT_EQ(parse_number("n", "512GB"), u64{512} << 30);
  EXPECT_EQ(parse_number("n", "1T"), u64{1} << 40);
  EXPECT_EQ(parse_number("n", "12B"), 12u);
  EXPECT_EQ(parse_number("n", "0xffffffffffffffff"), ~u64{0});
}

TEST(Numbers, AreRefusedWithTheWordInTheMessage)
{
  for (const char* word : {"", "x", "0x", "-1", "4X", "4Kb", "4 K", "1.5M", "0x1ffffffffffffffff",
                           "99999999999999999999", "16777216T", "K", "4KK"}) {
    try {
      parse_number("object create: SIZE", word);
      ADD_FAILURE() << "accepted: '" << word << "'";
    } catch (const Failure& f) {
      EXPECT_EQ(f.code(), Exit::usage) << word;
      EXPECT_EQ(f.tried(), "object create: SIZE");
      EXPECT_NE(f.found().find("'" + std::string(word) + "'"), std::string::npos) << f.found();
    }
  }
}

TEST(Ranges, AreHalfOpenOrStartAndLengthOrOnePage)
{
  EXPECT_EQ(parse_range("r", "0..2M"), (Range{0, u64{2} << 20}));
  EXPECT_EQ(parse_range("r", "0x1000+4K"), (Range{0x1000, 0x2000}));
  EXPECT_EQ(parse_range("r", "4K"), (Range{0x1000, 0x2000}));
  EXPECT_EQ(parse_range("r", "0"), (Range{0, 0x1000}));
  EXPECT_EQ(parse_range("r", "all"), whole_object);
}

TEST(Ranges, AreRefusedWhenEmptyBackwardOrOverflowing)
{
  for (const char* word : {"", "..", "4K..", "..4K", "4K..4K", "8K..4K", "0+0", "0xfffffffffffff000+8K",
                           "0xfffffffffffff001", "1..2..3", "a..b", "ALL"})
    EXPECT_THROW(parse_range("r", word), Failure) << word;
}

TEST(RightsWords, AreLettersInAnyOrderWithDashes)
{
  EXPECT_EQ(parse_rights("r", "r"), right_read);
  EXPECT_EQ(parse_rights("r", "rw"), rights_rw);
  EXPECT_EQ(parse_rights("r", "rw-"), rights_rw);
  EXPECT_EQ(parse_rights("r", "r-x"), right_read | right_exec);
  EXPECT_EQ(parse_rights("r", "rwx"), rights_all);
  for (const char* word : {"", "-", "---", "q", "rwz", "read"}) EXPECT_THROW(parse_rights("r", word), Failure) << word;
}

TEST(Levels, AreNamesOrNumbers)
{
  EXPECT_EQ(parse_level("l", "pte"), 0);
  EXPECT_EQ(parse_level("l", "pmd"), 1);
  EXPECT_EQ(parse_level("l", "2"), 2);
  EXPECT_EQ(parse_level("l", "pml5"), 4);
  for (const char* word : {"", "5", "p", "PTE", "00"}) EXPECT_THROW(parse_level("l", word), Failure) << word;
  EXPECT_EQ(level_name(3), "pml4");
}

TEST(Lines, SplitAsAShellWould)
{
  using Words = std::vector<std::string>;
  EXPECT_EQ(split_line("object  create\ta 4M\r\n"), (Words{"object", "create", "a", "4M"}));
  EXPECT_EQ(split_line("run sh -c 'exit 3'"), (Words{"run", "sh", "-c", "exit 3"}));
  EXPECT_EQ(split_line("a \"b \\c\" d\\ e ''"), (Words{"a", "b \\c", "d e", ""}));
  EXPECT_EQ(split_line("tree a # all of it"), (Words{"tree", "a"}));
  EXPECT_EQ(split_line("tree a#b"), (Words{"tree", "a#b"}));
  EXPECT_EQ(split_line("  # nothing"), Words{});
  EXPECT_THROW(split_line("tree 'a"), Failure);
}

TEST(Suggestions, NameTheNearestOrAll)
{
  constexpr std::array<std::string_view, 4> names{"read", "write", "exec", "invalidate"};
  EXPECT_EQ(nearest("raed", names), "read");
  EXPECT_EQ(nearest("inv", names), "invalidate");
  EXPECT_EQ(nearest("invaldiate", names), "invalidate");
  EXPECT_EQ(nearest("zzzzzzzz", names), "");
  EXPECT_EQ(suggest("wriet", names), "Did you mean 'write'?");
  EXPECT_EQ(suggest("zzzzzzzz", names), "Known: read, write, exec, invalidate.");
}

TEST(Texts, SayBytesExactly)
{
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(4096), "4 KiB");
  EXPECT_EQ(bytes_text(u64{64} << 20), "64 MiB");
  EXPECT_EQ(bytes_text((u64{64} << 20) + 4096), "65540 KiB");
  EXPECT_EQ(hex(0), "0x0");
  EXPECT_EQ(hex(0x1f, 16), "0x000000000000001f");
  EXPECT_EQ(range_text({0, 0x200000}), "0x0..0x200000");
  EXPECT_EQ(plural(1, "page"), "1 page");
  EXPECT_EQ(plural(0, "page"), "0 pages");
}

TEST(Texts, AreMadeFitForATerminal)
{
  EXPECT_EQ(printable("a\tb\n·↻ 𝄞"), "a\tb\n·↻ 𝄞");
  EXPECT_EQ(printable("\x1b[31m\x07\x7f"), "�[31m��");
  EXPECT_EQ(printable("\xc2\x9b"
                      "1m"),
            "�1m");
  for (const char* bad : {"\xff", "\xc0", "\x80", "\xe2\x86", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80"})
    EXPECT_EQ(printable(bad).substr(0, 3), "�") << bad;
}

}  // namespace
}  // namespace morsel::session
