// SPDX-License-Identifier: GPL-2.0-or-later
//
// Saved journals that lie. Whatever the bytes are, they are refused with a Failure, or show trees at every place that
// can be read, compared and walked. corpus.cpp makes journals to start from.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/session/journal_file.hpp"
#include "engine/session/verify.hpp"

namespace morsel::session {
namespace {

void require(bool holds)
{
  if (!holds) std::abort();
}

// Diffs of objects as large as the description may say take long: small ones are enough here.
bool is_small(const std::vector<ObjectState>& objects)
{
  u64 pages = 0;
  for (const ObjectState& o : objects) pages += (o.bytes >> page_lg2) * (1 + o.views.size());
  return pages <= 1u << 16;
}

void look(Chronicle& chronicle)
{
  History& history = *chronicle.history;
  require(history.size() == chronicle.journal.size());
  for (const std::size_t at : {std::size_t{0}, history.size() / 2, history.size()}) {
    history.go_to(at);
    require(history.position() == at);
    (void)history.is_exact(at);
    if (is_small(history.objects())) (void)verify(history.memory(), history.objects(), {&chronicle, at});
  }
}

}  // namespace
}  // namespace morsel::session

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  using namespace morsel;
  std::vector<u64> words(size / sizeof(u64) + 1);
  if (size != 0) std::memcpy(words.data(), data, size);
  try {
    session::Chronicle chronicle = session::read_journal(std::as_bytes(std::span(words)).first(size), "input");
    session::look(chronicle);
  } catch (const session::Failure&) {
  }
  return 0;
}
