// SPDX-License-Identifier: GPL-2.0-or-later
//
// verify; and the look at the views after each command that may have broken one.
#include <fmt/format.h>

#include <algorithm>

#include "engine/session/commands.hpp"
#include "engine/session/verify.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

Evidence evidence_of(const Recorder& recorder)
{
  // A recording that is over says nothing about the machine as it is now.
  if (recorder.empty() || (!recorder.in_past() && !recorder.on())) return {};
  return {&recorder.chronicle(), recorder.position()};
}

// What is under way may look broken. Trouble that is still there at a second look was left behind.
Verdict look(Session& session)
{
  const Scene scene = session.scene();
  const Evidence evidence = evidence_of(session.recorder());
  Verdict first = verify(scene.memory, scene.objects, evidence);
  if (first.violations.empty() || session.recorder().in_past()) return first;
  Verdict second = verify(scene.memory, scene.objects, evidence);
  std::erase_if(second.violations, [&](const Violation& v) {
    return std::none_of(first.violations.begin(), first.violations.end(),
                        [&](const Violation& other) { return v.same_as(other); });
  });
  return second;
}

std::vector<InjectRule> rules_of(Session& session)
{
  return session.recorder().in_past() ? std::vector<InjectRule>{} : session.target().injected();
}

}  // namespace

// Each is told once, as long as it lasts.
void Session::report_violations(Reply& reply)
{
  std::vector<Violation> all = look(*this).violations, fresh;
  for (const Violation& v : all)
    if (std::none_of(reported_.begin(), reported_.end(), [&](const Violation& r) { return r.same_as(v); }))
      fresh.push_back(v);
  reported_ = std::move(all);
  if (fresh.empty()) return;
  const std::vector<InjectRule> rules = rules_of(*this);
  Json list = Json::array();
  for (const Violation& v : fresh) {
    list.push_back(violation_facts(v, evidence_of(recorder_), rules));
    reply.text += printable(violation_text(list.back(), style));
  }
  reply.facts["violations"] = std::move(list);
}

Outcome verify_views(Session& session, const Arguments& arguments)
{
  if (session.recorder().on()) session.recorder().sync(session.target());
  Verdict verdict = look(session);
  if (arguments.has("NAME")) {
    const ObjectState object = find_object(session.scene(), arguments.command, arguments.text("NAME"));
    std::erase_if(verdict.violations, [&](const Violation& v) { return v.object_id != object.id; });
  }
  const std::vector<InjectRule> rules = verdict.violations.empty() ? std::vector<InjectRule>{} : rules_of(session);
  Json list = Json::array();
  for (const Violation& v : verdict.violations)
    list.push_back(violation_facts(v, evidence_of(session.recorder()), rules));
  const bool holds = list.empty() && verdict.more == 0;
  return {{{"holds", holds}, {"views", verdict.views}, {"violations", std::move(list)}, {"more", verdict.more}},
          holds ? 0 : static_cast<int>(Exit::check_failed)};
}

std::string render_verify(const Json& facts, const Style& style)
{
  std::string out;
  for (const Json& v : facts["violations"]) out += violation_text(v, style);
  if (const u64 more = facts["more"].get<u64>(); more != 0) out += fmt::format("and {} more\n", more);
  if (facts["holds"] == false) return out;
  const u64 views = facts["views"].get<u64>();
  return fmt::format("{}: {} but what {}\n", style.good("holds"),
                     views == 1 ? "1 view says nothing" : fmt::format("{} views say nothing", views),
                     views == 1 ? "its primary says" : "their primaries say");
}

}  // namespace morsel::session
