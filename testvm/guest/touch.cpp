// SPDX-License-Identifier: GPL-2.0-or-later
//
// morsel-touch FILE [--view N] [--read-only] [--stay] OPERATION…
//
// Maps an object (its primary, or an AMD64 view of it) and reads, writes and checks words in it, so that the CPU's own
// MMU walks the tables. Operations: operation.hpp. Each is reported by one line of JSON as soon as it is done:
//
//   {"op":"map","bytes":N,"address":N}
//   {"op":"read","start":N,"end":N,"count":N,"values":[…]}   (at most 512 values; "values_cut":true if there were more)
//   {"op":"write",…,"count":N}   {"op":"check",…,"count":N,"wrong":N,"first_wrong":{"offset":N,"found":N,"expected":N}}
//   {"op":"stay"}                with --stay: from then on it keeps the mapping until it is killed
//
// Exit status: 0 done, 1 a check failed, 2 wrong words, 3 the file cannot be mapped. A place that the object does not
// let it touch ends it by SIGSEGV or SIGBUS, as any program.
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "testvm/guest/mapping.hpp"
#include "testvm/guest/operation.hpp"

namespace {

using namespace morsel::guest;

constexpr std::size_t max_values = 512;

struct Options {
  std::string file;
  std::uint32_t view = 0;
  Right right = Right::read_write;
  bool stay = false;
  std::vector<std::string_view> operations;
};

int usage(const std::string& problem)
{
  std::fprintf(stderr, "morsel-touch: %s\nusage: morsel-touch FILE [--view N] [--read-only] [--stay] OPERATION...\n",
               problem.c_str());
  return 2;
}

bool parse_options(int argc, char** argv, Options& options, std::string& problem)
{
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--read-only") {
      options.right = Right::read;
    } else if (word == "--stay") {
      options.stay = true;
    } else if (word == "--view" && i + 1 < argc) {
      const auto number = parse_number(argv[++i]);
      if (!number || *number > 0xffff) return problem = "--view takes a view's number", false;
      options.view = static_cast<std::uint32_t>(*number);
    } else if (word.starts_with("--")) {
      return problem = "unknown option " + std::string(word), false;
    } else if (options.file.empty()) {
      options.file = word;
    } else {
      options.operations.push_back(word);
    }
  }
  if (options.file.empty()) return problem = "no file is named", false;
  return true;
}

void print_head(const char* name, const Operation& operation, std::uint64_t count)
{
  std::printf("{\"op\":\"%s\",\"start\":%" PRIu64 ",\"end\":%" PRIu64 ",\"count\":%" PRIu64, name, operation.start,
              operation.end, count);
}

template <class Visit>
std::uint64_t for_each_place(const Operation& operation, Visit&& visit)
{
  std::uint64_t count = 0;
  for (std::uint64_t offset = operation.start; offset + 8 <= operation.end; ++count) {
    visit(offset);
    if (operation.end - offset <= operation.stride) return count + 1;
    offset += operation.stride;
  }
  return count;
}

void read_words(const Mapping& mapping, const Operation& operation)
{
  std::vector<std::uint64_t> values;
  const auto count = for_each_place(operation, [&](std::uint64_t offset) {
    const std::uint64_t value = mapping.word(offset);
    if (values.size() < max_values) values.push_back(value);
  });
  print_head("read", operation, count);
  std::printf(",\"values\":[");
  for (std::size_t i = 0; i < values.size(); ++i) std::printf("%s%" PRIu64, i ? "," : "", values[i]);
  std::printf("]%s}\n", count > values.size() ? ",\"values_cut\":true" : "");
}

void write_words(const Mapping& mapping, const Operation& operation)
{
  const auto count =
      for_each_place(operation, [&](std::uint64_t offset) { mapping.word(offset) = operation.value_at(offset); });
  print_head("write", operation, count);
  std::printf("}\n");
}

bool check_words(const Mapping& mapping, const Operation& operation)
{
  std::uint64_t wrong = 0, first_offset = 0, first_found = 0;
  const auto count = for_each_place(operation, [&](std::uint64_t offset) {
    const std::uint64_t value = mapping.word(offset);
    if (value == operation.value_at(offset)) return;
    if (wrong++ == 0) {
      first_offset = offset;
      first_found = value;
    }
  });
  print_head("check", operation, count);
  std::printf(",\"wrong\":%" PRIu64, wrong);
  if (wrong)
    std::printf(",\"first_wrong\":{\"offset\":%" PRIu64 ",\"found\":%" PRIu64 ",\"expected\":%" PRIu64 "}",
                first_offset, first_found, operation.value_at(first_offset));
  std::printf("}\n");
  return wrong == 0;
}

bool perform(const Mapping& mapping, const Operation& operation)
{
  switch (operation.verb) {
    case Verb::read: read_words(mapping, operation); return true;
    case Verb::write: write_words(mapping, operation); return true;
    case Verb::check: return check_words(mapping, operation);
  }
  return false;
}

int run(const Options& options)
{
  const Mapping mapping(options.file, options.view, options.right);
  std::vector<Operation> operations;
  for (const std::string_view text : options.operations) {
    std::string problem;
    const auto operation = parse_operation(text, mapping.mapped_bytes(), problem);
    if (!operation) return usage(problem);
    operations.push_back(*operation);
  }
  std::printf("{\"op\":\"map\",\"bytes\":%" PRIu64 ",\"address\":%" PRIuPTR "}\n", mapping.bytes(),
              reinterpret_cast<std::uintptr_t>(&mapping.word(0)));
  bool right = true;
  for (const Operation& operation : operations) right = perform(mapping, operation) && right;
  if (options.stay) {
    std::printf("{\"op\":\"stay\"}\n");
    for (;;) pause();
  }
  return right ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv)
{
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // also into a pipe: what was done before a fatal signal has been said
  Options options;
  std::string problem;
  if (!parse_options(argc, argv, options, problem)) return usage(problem);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "morsel-touch: %s\n", error.what());
    return 3;
  }
}
