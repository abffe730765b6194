// SPDX-License-Identifier: GPL-2.0-or-later
//
// The embedded machine as a target: its class, for the files that implement it. Each request is an actor of the baton
// for as long as it takes; what only looks holds the baton still.
//
// What is shared between requests that wait at points: an object lives until its last request has ended (users), its
// views are added and dropped by one request at a time (view_changer), a dropped view's number is free again after the
// grace period.
#pragma once
#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/session/target.hpp"
#include "engine/sim/machine.hpp"

namespace morsel::sim {

class EmbeddedTarget final : public session::Target {
 public:
  explicit EmbeddedTarget(u64 memory_bytes);
  ~EmbeddedTarget() override;

  session::TargetInfo info() const override;
  session::Counters counters() override;
  const inspect::PhysicalMemory& memory() const override { return memory_; }

  std::vector<session::ObjectState> objects() override;
  session::ObjectState object(const std::string& name) override;
  session::ObjectState create_object(const std::string& name, u64 bytes, std::optional<Level> root_level) override;
  void destroy_object(const std::string& name) override;
  u64 populate(const std::string& name, Range range, Rights rights, Level leaf_level) override;
  u64 unmap(const std::string& name, Range range) override;
  u64 protect(const std::string& name, Range range, Rights rights) override;
  void split(const std::string& name, Range range, Level leaf_level) override;
  u64 merge(const std::string& name, Range range, Level leaf_level) override;
  u64 migrate(const std::string& name, Range range) override;
  session::HarvestReply harvest(const std::string& name, Range range) override;
  std::vector<session::MappedRun> populated(const std::string& name, Range range) override;
  std::vector<Range> dirty(const std::string& name, Range range) override;
  session::ObjectState clone_object(const std::string& base, const std::string& name) override;
  session::ViewState add_view(const std::string& name, FormatId format) override;
  void drop_view(const std::string& name, TreeId view) override;
  session::AccessReply access(const session::AccessRequest& request) override;
  std::optional<session::WalkerCaches> cached(const std::string& name, TreeId tree) override;

  u32 inject(const session::InjectRule& rule) override;
  std::vector<session::InjectRule> injected() override;
  void clear_injected() override;

  session::Stepping* stepping() override { return gate_.get(); }
  session::JournalSource* journal() override { return &machine_.journal(); }
  bool goes_back() const override { return true; }
  void go_back_to(u64 sequence, const std::function<void()>& recording) override;

  session::ProgramResult run_program(const std::vector<std::string>& argv) override { return no_guest(argv); }
  u32 start_program(const std::vector<std::string>& argv) override { return no_guest(argv), 0; }
  session::ProgramResult end_program(u32) override { return no_guest({}); }
  std::string kernel_log() override { return {}; }
  void listen(std::function<void(const session::Event&)> listener) override;

 private:
  // A request is about this object: it is not destroyed meanwhile.
  class Use {
   public:
    Use(EmbeddedObject& o, u32 actor) : o_(o), actor_(actor) { o_.users.push_back(actor); }
    ~Use() { std::erase(o_.users, actor_); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    EmbeddedObject& o_;
    const u32 actor_;
  };
  class ViewChange;
  class Gate;

  // What was done to the machine, to be done again (embedded_again.cpp). A request begins in the order of its actors.
  using Again = std::function<void(EmbeddedTarget&)>;
  struct Input {
    static constexpr u64 nowhere = ~u64{0};
    enum class Kind : u8 { request, order, recording } kind;
    Again work;
    u64 halt = nowhere;  // at this record the gate was closed, in the middle of it or behind it: a branch began there
  };
  static constexpr std::size_t most_inputs = std::size_t{1} << 18;

  template <class Work>
  auto request(const std::string& who, const std::string& name, Again again, Work&& work)
  {
    Baton::Turn turn(machine_.baton(), who, name);
    keep(Input::Kind::request, std::move(again));
    check_alive();
    try {
      auto result = work(turn.actor());
      check_alive();
      return result;
    } catch (const session::Failure&) {
      check_alive();
      throw;
    }
  }
  template <class Work>
  auto on_object(const std::string& who, const std::string& name, Again again, Work&& work)
  {
    return request(who + " of " + name, name, std::move(again), [&](Baton::Actor& actor) {
      EmbeddedObject& o = find(name);
      const Use use(o, actor.id);
      EmbeddedPlatform p(machine_, o, &actor);
      return work(o, p, actor);
    });
  }
  template <class T>
  T value_or_failure(const Expected<T>& result, const EmbeddedObject& o, const std::string& tried)
  {
    if (!result) fail(result.error(), o, tried);
    changed(o.name);
    return *result;
  }
  [[noreturn]] void fail(Error error, const EmbeddedObject& o, const std::string& tried);
  void value_or_failure(const Status& status, const EmbeddedObject& o, const std::string& tried)
  {
    value_or_failure(status ? Expected<u64>(0) : status.error(), o, tried);
  }
  template <class Made>
  session::ObjectState add_object(const std::string& name, const std::string& tried, const std::string& advice,
                                  Baton::Actor& actor, Made&& made);

  void keep(Input::Kind kind, Again work);
  std::vector<Input> take_inputs(u64 sequence);
  void make_again(const std::vector<Input>& inputs, u64 sequence, const std::function<void()>& recording);
  void forget_everything();
  void do_again(const Input& input);
  void do_again_until(const Input& input, u64 sequence);
  std::unique_ptr<session::Stepping> make_gate();

  void check_alive() const;
  void tell(const session::Event& event);
  void changed(const std::string& name) { tell({session::Event::Kind::object_changed, name, {}}); }
  EmbeddedObject* find_or_null(const std::string& name);
  EmbeddedObject& find(const std::string& name);
  View& find_view(EmbeddedObject& o, TreeId number);
  void refuse_if_base(const EmbeddedObject& o) const;
  void destroy(EmbeddedObject& o, Baton::Actor* actor);

  // What keeps the access from being allowed is done away with, if the request wants that: false if it stays denied.
  bool allow(EmbeddedObject& o, EmbeddedPlatform& p, Error reason, const session::AccessRequest& request,
             session::AccessReply& reply);
  session::AccessReply access_primary(EmbeddedObject& o, EmbeddedPlatform& p, const session::AccessRequest& request);
  session::AccessReply access_view(EmbeddedObject& o, EmbeddedPlatform& p, const session::AccessRequest& request);
  // One access by the machine's walker; sets A and D in the leaf. Returns false if the tree does not allow it.
  bool walk_and_touch(EmbeddedObject& o, const Tree& tree, const session::AccessRequest& request,
                      session::AccessReply& reply);
  [[noreturn]] session::ProgramResult no_guest(const std::vector<std::string>& argv);

  std::mutex listener_mutex_;
  std::function<void(const session::Event&)> listener_;
  const u64 memory_bytes_;
  Machine machine_;
  inspect::PhysicalMemory memory_;
  std::vector<std::unique_ptr<EmbeddedObject>> objects_;
  u32 last_object_id_ = 0;

  const std::unique_ptr<session::Stepping> gate_;
  std::mutex inputs_mutex_;  // of the next two
  std::vector<Input> inputs_;
  bool forgotten_ = false;            // there were too many
  std::vector<std::thread> threads_;  // of requests that were done again, and wait somewhere
  std::atomic<bool> silent_{false};   // nothing is told while the machine is made again
};

std::string hex_text(u64 value);
std::string text_of(Range r);
std::string advice_for(Error error, const EmbeddedObject& o);

}  // namespace morsel::sim
