// SPDX-License-Identifier: GPL-2.0-or-later
//
// A session's door up to where a command would be done: bytes, lines, requests, words, typed arguments. Whatever comes
// in, each line gets one answer, which is one line of JSON and not much longer than what it answers.
// Commands are not done: some write files. door_fuzz_test runs the same on inputs drawn by a seed.
#include <cstdint>
#include <cstdlib>

#include "engine/session/server/protocol.hpp"

namespace morsel::session {
namespace {

constexpr std::size_t most_answer_bytes = std::size_t{64} << 10, most_growth = 32;

void require(bool holds)
{
  if (!holds) std::abort();
}

std::string answer_to(const LineReader::Line& line, const CommandTable& table)
{
  Message id;
  try {
    const auto* text = std::get_if<std::string>(&line);
    if (!text) throw BadMessage("it is too long");
    const std::vector<std::string> words = words_of(parse_request(*text, id), table);
    if (words.empty()) return encode_return(Json::object(), id);
    const ParsedCommand parsed = table.parse(words);
    return encode_return({{"facts", {{"command", parsed.arguments.command}}}}, id);
  } catch (const BadMessage& error) {
    return encode_bad_message(error.what(), id);
  } catch (const Failure& failure) {
    return encode_failure(failure, id);
  }
}

}  // namespace
}  // namespace morsel::session

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  using namespace morsel::session;
  static const CommandTable table = session_commands();
  LineReader lines(4096);
  lines.append({reinterpret_cast<const char*>(data), size});
  while (const auto line = lines.next()) {
    const std::string answer = answer_to(*line, table);
    require(answer.ends_with('\n') && answer.find('\n') == answer.size() - 1);
    require(answer.size() <= most_answer_bytes + most_growth * size);
    const Message message = Message::parse(answer);
    require(message.contains("return") != message.contains("error"));
  }
  return 0;
}
