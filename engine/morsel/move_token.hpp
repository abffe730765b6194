// SPDX-License-Identifier: GPL-2.0-or-later
//
// What tells a moving word from that of another attempt at the same page. The word has ten bits for it, too few to
// count attempts: who was overtaken by 1024 of them would take another's word for its own, and install a copy that is
// older than the page. So a token is held by everybody who goes on from a word that bears it, and who begins a move
// takes one that nobody holds:
//
//   who moves   take:  hold a token that nobody else holds; change, flush, copy, install; give it back
//   who helps   share: hold the word's token, and look whether the word still stands. If so, whoever made it holds the
//               token, too, and until both have given it back there is no other word with it; flush, copy, install
//
// Who only puts the leaf back or takes the frame needs no token: either is right for whichever attempt the word is of.
// A suspended actor keeps what it holds (one token; two, while a migration splits a leaf of an attached primary), and
// nobody waits for it.
//
// Thread safety: used by one actor, inside a section. Invariants: I9, and I5 as long as fewer than max_moves tokens are
// held: with nearly all of them held, who takes one at the same time as others may be refused, and says so. Source:
// design of the protocol, "the token is unique per attempt" (move_token_reuse); the model's tokens are those that
// nobody holds or expects.
#pragma once
#include "engine/morsel/marks.hpp"
#include "engine/platform/platform.hpp"

namespace morsel {

template <Platform P>
class MoveToken {
 public:
  MoveToken(P& p, Object& object) : p_(p), holders_(object.move_tokens) {}
  ~MoveToken() { give_back(); }
  MoveToken(const MoveToken&) = delete;
  MoveToken& operator=(const MoveToken&) = delete;

  // Any that nobody else holds; kept from one attempt to the next. False: none was free when it was looked at.
  bool take()
  {
    if (held_) return true;
    const u64 first = p_.token();  // so that those who begin at once do not all try the same
    for (u64 i = 0; i < max_moves; ++i) {
      hold(first + i);
      if (p_.read(SyncPoint::hold, primary_tree, *held_) <= 1) return true;
    }
    give_back();
    return false;
  }
  // That of the moving word that was met in `e`. False: it does not stand there any more.
  bool share(const EntryRef& e, u64 word)
  {
    hold(software::read_moving(word).token);
    if (p_.load(SyncPoint::find, e) == word) return true;
    give_back();
    return false;
  }
  u64 number() const { return static_cast<u64>(held_ - holders_.data()); }

 private:
  void hold(u64 number)
  {
    give_back();
    held_ = &holders_[number % max_moves];
    p_.add(SyncPoint::hold, primary_tree, *held_, +1);
  }
  void give_back()
  {
    if (held_) p_.add(SyncPoint::hold, primary_tree, *held_, -1);
    held_ = nullptr;
  }

  P& p_;
  std::array<Counter, max_moves>& holders_;
  Counter* held_ = nullptr;
};

}  // namespace morsel
