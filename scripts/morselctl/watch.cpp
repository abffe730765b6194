// SPDX-License-Identifier: GPL-2.0-or-later
#include "scripts/morselctl/watch.hpp"

#include <iostream>

namespace morsel::ctl {

namespace {

constexpr const char* clear_screen = "\x1b[H\x1b[2J\x1b[3J";

}  // namespace

bool is_watched(const session::CommandTable& table, const std::vector<std::string>& words)
{
  return table.parse(words).arguments.has(session::watch_flag);
}

void watch(Executor& executor, std::vector<std::string> words, const Shown& how)
{
  std::erase(words, session::watch_flag);
  executor.listen(words[0] == "journal");
  std::string last;
  for (session::Json event;; event = executor.next_event()) {
    session::Reply reply = executor.execute(words);
    reply.as_json = how.as_json;
    std::string shown = reply.shown();
    if (shown == last) continue;
    if (how.person && !how.as_json)
      std::cout << clear_screen;
    else if (!how.as_json && !event.is_null())
      std::cout << how.style.dim(event_text(event)) << "\n";
    std::cout << shown << std::flush;
    if (!how.as_json) std::cerr << reply.errors;
    last = std::move(shown);
  }
}

}  // namespace morsel::ctl
