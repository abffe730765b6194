// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/vm_stepping.hpp"

#include "testvm/host/target_json.hpp"

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

// The agent keeps the limit; this is for one that does not answer at all.
constexpr Milliseconds slack{30'000};

}  // namespace

bool VmStepping::stopped() const
{
  const Json reply = connection_.request("gate-actors");
  const auto stopped = reply.find("stopped");
  return stopped != reply.end() && *stopped == true;
}

void VmStepping::stop(session::Milliseconds limit)
{
  connection_.request("gate-stop", {{"limit_ms", limit.count()}}, limit + slack);
}

void VmStepping::run() { connection_.request("gate-run"); }

std::vector<session::ActorState> VmStepping::actors() { return actors_from_json(connection_.request("gate-actors")); }

session::ActorState VmStepping::step(u32 actor, session::Milliseconds limit)
{
  const Json reply = connection_.request("gate-step", {{"actor", actor}, {"limit_ms", limit.count()}}, limit + slack);
  return actor_from_json(object_at(reply, "actor"));
}

session::UntilReply VmStepping::until(const session::StopCondition& condition, session::Milliseconds limit)
{
  Json arguments{{"point", point_name(condition.point)}, {"nth", condition.nth}, {"limit_ms", limit.count()}};
  if (condition.nth == 0)
    throw Failure(Exit::usage, "run until " + std::string(point_name(condition.point)), "nth counts from 1");
  if (condition.actor) arguments["actor"] = *condition.actor;
  if (condition.object) arguments["name"] = *condition.object;
  if (condition.tree) arguments["view"] = *condition.tree;
  if (condition.range) {
    arguments["start"] = condition.range->start;
    arguments["end"] = condition.range->end;
  }
  const Json reply = connection_.request("gate-until", arguments, limit + slack);
  return until_from_json(reply);
}

}  // namespace morsel::testvm
