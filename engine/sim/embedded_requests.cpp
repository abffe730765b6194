// SPDX-License-Identifier: GPL-2.0-or-later
//
// The embedded machine's requests on ranges and pages of an object.
#include "engine/sim/embedded_target_class.hpp"

namespace morsel::sim {

using session::AccessOutcome;
using session::AccessReply;
using session::AccessRequest;
using session::Exit;
using session::Failure;

namespace {

// A walk that still faults after so many fills will go on to do so.
constexpr int max_faults = 16;
constexpr std::string_view walker_name = "the embedded machine's walker";

std::string who_text(const AccessRequest& request)
{
  const std::string verb = request.right.write() ? "write" : request.right.exec() ? "execute" : "read";
  return verb + " at " + hex_text(request.offset) +
         (request.view == primary_tree ? "" : " through view " + std::to_string(request.view));
}

}  // namespace

u64 EmbeddedTarget::populate(const std::string& name, Range range, Rights rights, Level leaf_level)
{
  const std::string tried = "populate " + text_of(range);
  const Again again = [=](EmbeddedTarget& t) { t.populate(name, range, rights, leaf_level); };
  return on_object(tried, name, again, [&](EmbeddedObject& o, EmbeddedPlatform& p, auto&) {
    return value_or_failure(morsel::populate(p, o.object, range, rights, leaf_level), o, tried);
  });
}

u64 EmbeddedTarget::unmap(const std::string& name, Range range)
{
  const std::string tried = "unmap " + text_of(range);
  const Again again = [=](EmbeddedTarget& t) { t.unmap(name, range); };
  return on_object(tried, name, again, [&](EmbeddedObject& o, EmbeddedPlatform& p, auto&) {
    return value_or_failure(morsel::unmap(p, o.object, range), o, tried);
  });
}

u64 EmbeddedTarget::protect(const std::string& name, Range range, Rights rights)
{
  const std::string tried = "protect " + text_of(range);
  const Again again = [=](EmbeddedTarget& t) { t.protect(name, range, rights); };
  return on_object(tried, name, again, [&](EmbeddedObject& o, EmbeddedPlatform& p, auto&) {
    return value_or_failure(morsel::protect(p, o.object, range, rights), o, tried);
  });
}

void EmbeddedTarget::split(const std::string& name, Range range, Level leaf_level)
{
  const std::string tried = "split " + text_of(range);
  const Again again = [=](EmbeddedTarget& t) { t.split(name, range, leaf_level); };
  on_object(tried, name, again, [&](EmbeddedObject& o, EmbeddedPlatform& p, auto&) {
    value_or_failure(morsel::split(p, o.object, range, leaf_level), o, tried);
    return true;
  });
}

u64 EmbeddedTarget::merge(const std::string& name, Range range, Level leaf_level)
{
  const std::string tried = "merge " + text_of(range);
  const Again again = [=](EmbeddedTarget& t) { t.merge(name, range, leaf_level); };
  return on_object(tried, name, again, [&](EmbeddedObject& o, EmbeddedPlatform& p, auto&) {
    return value_or_failure(morsel::merge(p, o.object, range, leaf_level), o, tried);
  });
}

u64 EmbeddedTarget::migrate(const std::string& name, Range range)
{
  const std::string tried = "migrate " + text_of(range);
  const Again again = [=](EmbeddedTarget& t) { t.migrate(name, range); };
  return on_object(tried, name, again, [&](EmbeddedObject& o, EmbeddedPlatform& p, auto&) {
    return value_or_failure(morsel::migrate(p, o.object, range), o, tried);
  });
}

session::HarvestReply EmbeddedTarget::harvest(const std::string& name, Range range)
{
  struct Report {
    std::vector<Range> accessed_runs, dirty_runs;
    void accessed(Range r) { accessed_runs.push_back(r); }
    void dirty(Range r) { dirty_runs.push_back(r); }
  };
  const std::string tried = "harvest " + text_of(range);
  const Again again = [=](EmbeddedTarget& t) { t.harvest(name, range); };
  return on_object(tried, name, again, [&](EmbeddedObject& o, EmbeddedPlatform& p, auto&) {
    Report report;
    value_or_failure(morsel::harvest(p, o.object, range, report), o, tried);
    return session::HarvestReply{session::joined(std::move(report.accessed_runs)),
                                 session::joined(std::move(report.dirty_runs))};
  });
}

std::vector<session::MappedRun> EmbeddedTarget::populated(const std::string& name, Range range)
{
  const auto still = machine_.baton().look();
  check_alive();
  EmbeddedObject& o = find(name);
  EmbeddedPlatform p(machine_, o, nullptr, Seen::no);
  std::vector<session::MappedRun> runs;
  const Status s = for_each_populated(p, o.object, range, [&](Range r, Rights rights) { runs.push_back({r, rights}); });
  if (!s) fail(s.error(), o, "ranges of " + text_of(range));
  return runs;
}

std::vector<Range> EmbeddedTarget::dirty(const std::string& name, Range range)
{
  const auto still = machine_.baton().look();
  check_alive();
  EmbeddedObject& o = find(name);
  EmbeddedPlatform p(machine_, o, nullptr, Seen::no);
  std::vector<Range> runs;
  const Status s = for_each_dirty(p, o.object, range, [&](Range r) { runs.push_back(r); });
  if (!s) fail(s.error(), o, "ranges of " + text_of(range));
  return runs;
}

AccessReply EmbeddedTarget::access(const AccessRequest& request)
{
  if (request.vcpu)
    throw Failure(Exit::skipped, who_text(request) + " by a virtual CPU", "the embedded machine has none",
                  "A test VM's module has, where its CPU does (morselctl vm up).");
  const Again again = [=](EmbeddedTarget& t) { t.access(request); };
  return on_object(who_text(request), request.object, again, [&](EmbeddedObject& o, EmbeddedPlatform& p, auto&) {
    if (!is_aligned(request.offset, sizeof(u64)) || request.offset >= o.object.bytes)
      throw Failure(Exit::usage, "access " + request.object + " at " + hex_text(request.offset),
                    "not a multiple of 8 inside the object", advice_for(Error::out_of_range, o));
    AccessReply reply = request.view == primary_tree ? access_primary(o, p, request) : access_view(o, p, request);
    changed(o.name);
    return reply;
  });
}

std::optional<session::WalkerCaches> EmbeddedTarget::cached(const std::string& name, TreeId tree)
{
  const auto still = machine_.baton().look();
  check_alive();
  const EmbeddedObject& o = find(name);
  const auto walker = o.walkers.find(tree);
  return walker == o.walkers.end() ? session::WalkerCaches{} : walker->second.caches();
}

bool EmbeddedTarget::walk_and_touch(EmbeddedObject& o, const Tree& tree, const AccessRequest& request,
                                    AccessReply& reply)
{
  // Nobody has the primary attached, so nobody would be told to forget what was cached of it.
  CachingWalker forgetful;
  CachingWalker& walker = tree.id == primary_tree ? forgetful : o.walkers[tree.id];
  const auto found = walker.translate(machine_.arena(), tree, request.offset, request.right);
  if (!found) return false;
  const PhysAddr at = found->frame + (request.offset & (page_bytes - 1));
  reply.cached = found->cached;
  reply.value = ~u64{0};  // what a bus reads where nothing answers
  if (!machine_.arena().contains(at)) return true;
  u64* const word = machine_.arena().words(at);
  if (request.right.write()) *word = request.value;
  reply.value = *word;
  return true;
}

bool EmbeddedTarget::allow(EmbeddedObject& o, EmbeddedPlatform& p, Error reason, const AccessRequest& request,
                           AccessReply& reply)
{
  if (!request.populate) return false;
  if (reason == Error::needs_populate && reply.outcome != AccessOutcome::populated) {
    const u64 page = align_down(request.offset, page_bytes);
    value_or_failure(morsel::populate(p, o.object, {page, page + page_bytes}, rights_rw | request.right, 0), o,
                     "populate for an access");
    reply.outcome = AccessOutcome::populated;
    return true;
  }
  if (reason != Error::access_denied || !request.right.write()) return false;
  // Who gives way to a filler begins again, as a process does that faults once more.
  Expected<BreakOutcome> copy = break_copy(p, o.object, request.offset);
  for (int again = 1; !copy && copy.error() == Error::busy && again < max_faults; ++again)
    copy = break_copy(p, o.object, request.offset);
  if (!copy && (copy.error() == Error::access_denied || copy.error() == Error::frozen)) return false;
  if (value_or_failure(copy, o, "copy a page for an access") == BreakOutcome::writable) return false;
  reply.outcome = AccessOutcome::copied;
  return true;
}

AccessReply EmbeddedTarget::access_primary(EmbeddedObject& o, EmbeddedPlatform& p, const AccessRequest& request)
{
  AccessReply reply{AccessOutcome::hit, std::string(walker_name)};
  if (walk_and_touch(o, o.object.primary, request, reply)) return reply;
  EmbeddedPlatform hardware(machine_, o, nullptr, Seen::no);
  const bool mapped = static_cast<bool>(lookup(hardware, SyncPoint::load, o.object.primary, request.offset));
  if (!allow(o, p, mapped ? Error::access_denied : Error::needs_populate, request, reply) ||
      !walk_and_touch(o, o.object.primary, request, reply))
    reply.outcome = AccessOutcome::denied;
  return reply;
}

AccessReply EmbeddedTarget::access_view(EmbeddedObject& o, EmbeddedPlatform& p, const AccessRequest& request)
{
  AccessReply reply{AccessOutcome::hit, std::string(walker_name)};
  // The view is found anew each time: it may be dropped while the actor waits somewhere.
  for (int faults = 0;; ++faults) {
    const Tree& tree = find_view(o, request.view).tree;
    if (request.touch && walk_and_touch(o, tree, request, reply)) return reply;
    if (faults == max_faults)
      throw Failure(Exit::check_failed,
                    "access view " + std::to_string(request.view) + " at " + hex_text(request.offset),
                    "filled " + std::to_string(max_faults) + " times, and the walk still faults",
                    "an injected fault that keeps firing does this: 'inject list' shows the rules");
    const Expected<FillOutcome> filled = fill(p, o.object, request.view, request.offset, request.right);
    if (filled) {
      ++machine_.fills;
      if (reply.outcome == AccessOutcome::hit && *filled == FillOutcome::filled) reply.outcome = AccessOutcome::filled;
      if (!request.touch) return reply;
    } else if (filled.error() == Error::not_found || allow(o, p, filled.error(), request, reply)) {
      continue;
    } else if (filled.error() == Error::needs_populate || filled.error() == Error::access_denied) {
      reply.outcome = AccessOutcome::denied;
      return reply;
    } else {
      fail(filled.error(), o, "fill " + hex_text(request.offset));
    }
  }
}

}  // namespace morsel::sim
