// SPDX-License-Identifier: GPL-2.0-or-later
//
// A token's run by real tasks of the session's machine, in the kernel or embedded: the scenario becomes commands, each
// actor a task behind the closed gate, and the tasks are stepped in the order of the token. Before each step it is
// compared where the task waits: point, tree, level, offset, and what kind of entry stands there.
//
// Not compared: hardware's own steps, accessed and dirty bits, and caching, which the explorer assumes and a machine
// does not show; addresses and tokens of reservations; accesses that the machine has in addition (allocation) or does
// not have (a filler that holds its view does not look it up). Where the run first differs, it is said, and all go on
// freely.
//
// Thread safety: the session's thread.
#pragma once
#include "engine/session/live_plan.hpp"
#include "engine/session/session.hpp"

namespace morsel::session {

class LiveReplay {
 public:
  // Failure if the token asks for what no machine but the explorer's has.
  LiveReplay(Session& session, const sim::TokenRun& token);
  // Takes away an object of this name and all injected faults, records a journal, and leaves the gate open. The facts.
  Json run();

 private:
  struct Late {
    SyncPoint point, until;
  };
  struct Player {
    std::vector<std::string> words;
    bool begun = false, ended = false;
    ActorState state{};  // as it was when it was looked at last
    // Accesses that were put off: here they happen together with the one that they wait for, which is therefore held
    // back until it is their turn in the token.
    std::vector<Late> late{};
    bool held = false;
    std::string outcome{};
    int status = 0;
  };
  struct Difference {
    std::size_t step = 0;
    std::string expected, found;
  };

  void set_stage();
  void add_rules(u32 actor, u32 id);
  void follow(std::size_t number);
  void begin(Player& player, u32 letter);
  void refresh(Player& player);
  void go_on(Player& player);
  void access_by_hardware(const sim::Step& step);
  bool may_be_absent(const Player& player, const sim::Step& step) const;
  // It is at an access that the explorer's actor did without.
  bool does_more(const Player& player, const sim::Step& step) const;
  // The late access of the step, if it is one; then it is done.
  bool was_late(Player& player, const sim::Step& step);
  void do_compared(Player& player, std::size_t number);
  // What is otherwise than the token says; empty: nothing.
  std::string difference(const Player& player, const sim::Step& step);
  void finish();
  Json facts();

  Session& session_;
  Stepping& stepping_;
  const sim::Scenario& scenario_;
  const ExploredChronicle explored_;
  std::vector<Player> players_;
  const Player* last_ = nullptr;  // that went on
  std::optional<Difference> difference_;
  u64 compared_ = 0, aside_ = 0, absent_ = 0, more_ = 0;
};

}  // namespace morsel::session
