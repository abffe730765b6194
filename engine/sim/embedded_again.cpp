// SPDX-License-Identifier: GPL-2.0-or-later
//
// The embedded machine made again: its inputs (requests, orders to the gate, rules, recording) are kept, and done once
// more from the beginning up to a record of the journal. There the gate is closed, so that one can go on otherwise.
//
// The same inputs make the same machine: who runs, which page is allocated, what a fault draws, all follows from them
// (baton.hpp, arena.hpp, fault_plan.hpp). While it is made again each input is kept anew, so that the new machine can
// be made again as well.
#include "engine/sim/embedded_target_class.hpp"

namespace morsel::sim {

using session::Exit;
using session::Failure;
using session::Milliseconds;

namespace {

constexpr Milliseconds again_limit{60'000};

class Silence {
 public:
  explicit Silence(std::atomic<bool>& silent) : silent_(silent) { silent_ = true; }
  ~Silence() { silent_ = false; }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  std::atomic<bool>& silent_;
};

}  // namespace

// The gate, with a memory: what it is told is an input.
class EmbeddedTarget::Gate final : public session::Stepping {
 public:
  explicit Gate(EmbeddedTarget& target) : target_(target), baton_(target.machine_.baton()) {}

  bool stopped() const override { return baton_.stopped(); }
  std::vector<session::ActorState> actors() override { return baton_.actors(); }
  void stop(Milliseconds limit) override
  {
    keep([](session::Stepping& s) { s.stop(again_limit); });
    baton_.stop(limit);
  }
  void run() override
  {
    keep([](session::Stepping& s) { s.run(); });
    baton_.run();
  }
  session::ActorState step(u32 actor, Milliseconds limit) override
  {
    keep([actor](session::Stepping& s) { s.step(actor, again_limit); });
    return baton_.step(actor, limit);
  }
  session::UntilReply until(const session::StopCondition& condition, Milliseconds limit) override
  {
    keep([condition](session::Stepping& s) { s.until(condition, again_limit); });
    return baton_.until(condition, limit);
  }

 private:
  void keep(std::function<void(session::Stepping&)> order)
  {
    target_.keep(Input::Kind::order, [order = std::move(order)](EmbeddedTarget& t) { order(*t.gate_); });
  }
  EmbeddedTarget& target_;
  Baton& baton_;
};

std::unique_ptr<session::Stepping> EmbeddedTarget::make_gate() { return std::make_unique<Gate>(*this); }

void EmbeddedTarget::keep(Input::Kind kind, Again work)
{
  const std::lock_guard lock(inputs_mutex_);
  if (inputs_.size() == most_inputs) {
    inputs_.clear();
    forgotten_ = true;
  }
  if (!forgotten_) inputs_.push_back({kind, std::move(work)});
}

// A request that waits somewhere keeps its thread, because whoever made it the first time waits for that one.
void EmbeddedTarget::do_again(const Input& input)
{
  const auto work = [this, again = input.work] {
    try {
      again(*this);
    } catch (const Failure&) {  // as the first time
    }
  };
  Baton& baton = machine_.baton();
  if (input.kind == Input::Kind::request) {
    const u32 actor = baton.last_id() + 1;
    std::thread thread(work);
    if (baton.wait_begun(actor))
      threads_.push_back(std::move(thread));
    else
      thread.join();
  } else {
    work();
  }
  baton.look();
}

// One input, which the gate interrupts as soon as there are so many records: now, or when the machine was made again
// earlier.
void EmbeddedTarget::do_again_until(const Input& input, u64 sequence)
{
  EmbeddedJournal& journal = machine_.journal();
  const u64 halt = std::min(sequence, input.halt);
  const auto is_there = [&journal, halt] { return journal.recording() && journal.sequence() >= halt; };
  if (halt == Input::nowhere) return do_again(input);
  machine_.baton().halt_when(is_there);
  do_again(input);
  machine_.baton().halt_when({});
  if (!is_there()) return;
  machine_.baton().stop(again_limit);
  const std::lock_guard lock(inputs_mutex_);
  inputs_.back().halt = halt;
}

std::vector<EmbeddedTarget::Input> EmbeddedTarget::take_inputs(u64 sequence)
{
  const std::string tried = "go on from record " + std::to_string(sequence);
  const auto still = machine_.baton().look();
  const std::lock_guard lock(inputs_mutex_);
  if (forgotten_)
    throw Failure(Exit::usage, tried, "it has had more than " + std::to_string(most_inputs) + " inputs",
                  "The first of them are not kept any more: begin again with a new machine.");
  if (sequence > machine_.journal().sequence())
    throw Failure(Exit::usage, tried, "the last is record " + std::to_string(machine_.journal().sequence()), {});
  if (std::none_of(inputs_.begin(), inputs_.end(), [](const Input& i) { return i.kind == Input::Kind::recording; }))
    throw Failure(Exit::usage, tried, "nothing was recorded", {});
  return std::exchange(inputs_, {});
}

// Whoever waits goes on to its end first; then there is nothing.
void EmbeddedTarget::forget_everything()
{
  machine_.faults().clear();
  machine_.baton().finish_all();
  for (std::thread& t : threads_) t.join();
  threads_.clear();
  objects_.clear();
  last_object_id_ = 0;
  machine_.reset();
  const std::lock_guard lock(inputs_mutex_);
  inputs_.clear();
}

void EmbeddedTarget::go_back_to(u64 sequence, const std::function<void()>& recording)
{
  const std::vector<Input> inputs = take_inputs(sequence);
  {
    const Silence silence(silent_);
    make_again(inputs, sequence, recording);
  }
  tell({session::Event::Kind::stopped, {}, "the machine is as it was at record " + std::to_string(sequence)});
  for (const session::ObjectState& o : objects()) changed(o.name);
}

void EmbeddedTarget::make_again(const std::vector<Input>& inputs, u64 sequence, const std::function<void()>& recording)
{
  forget_everything();
  std::size_t next = 0, begun = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].kind == Input::Kind::recording) begun = i + 1;
  while (next < begun) do_again_until(inputs[next++], Input::nowhere);
  recording();
  while (next < inputs.size() && machine_.journal().sequence() < sequence) do_again_until(inputs[next++], sequence);
  gate_->stop(again_limit);
}

}  // namespace morsel::sim
