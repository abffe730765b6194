// SPDX-License-Identifier: GPL-2.0-or-later
//
// The words that morsel-touch understands.
#include "testvm/guest/operation.hpp"

#include <gtest/gtest.h>

namespace morsel::guest {
namespace {

constexpr std::uint64_t bytes = 64 << 20;

std::optional<Operation> parse(std::string_view text)
{
  std::string problem;
  const auto operation = parse_operation(text, bytes, problem);
  EXPECT_EQ(operation.has_value(), problem.empty()) << problem;
  return operation;
}

TEST(Number, TakesBasesAndUnits)
{
  EXPECT_EQ(parse_number("4096"), 4096);
  EXPECT_EQ(parse_number("0x1f"), 31);
  EXPECT_EQ(parse_number("4K"), 4096);
  EXPECT_EQ(parse_number("0x2M"), 2u << 20);
  EXPECT_EQ(parse_number("18446744073709551615"), ~std::uint64_t{0});
}

TEST(Number, RefusesWhatIsNotOne)
{
  for (const char* text : {"", "K", "0x", "-1", "1x", " 1", "18446744073709551616", "17179869184G", "1k", "+3"})
    EXPECT_FALSE(parse_number(text)) << text;
}

TEST(Operation, NamesOnePlace)
{
  const auto operation = parse("write:8K=7");
  ASSERT_TRUE(operation);
  EXPECT_EQ(operation->verb, Verb::write);
  EXPECT_EQ(operation->start, 8192u);
  EXPECT_EQ(operation->end, 8200u);
  EXPECT_EQ(operation->value_at(8192), 7u);
}

TEST(Operation, NamesARangeByPagesUnlessAStrideIsGiven)
{
  EXPECT_EQ(parse("read:0-2M")->stride, 4096u);
  const auto strided = parse("check:4K-8K/8=offset");
  ASSERT_TRUE(strided);
  EXPECT_EQ(strided->stride, 8u);
  EXPECT_EQ(strided->value_at(4104), 4104u);
}

TEST(Operation, RefusesWhatCannotBeDone)
{
  for (const char* text : {"", "read", "read:", "write:0", "read:0=1", "touch:0", "read:1", "read:8K-4K", "read:0-0",
                           "read:0-4K/0", "read:0-4K/4", "read:64M", "read:0-65M", "write:0=", "write:0=x",
                           "read:0xffffffffffffffff", "read:18446744073709551608", "read:0-4K/8/8", "check:=1"})
    EXPECT_FALSE(parse(text)) << text;
}

}  // namespace
}  // namespace morsel::guest
