// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/scenario_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <compare>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

constexpr std::string_view operators[] = {"==", "!=", "<", "<=", ">", ">=", "contains"};
constexpr std::size_t shown_reply_bytes = 2000;

bool is_variable_name(std::string_view word)
{
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// "# title: …" and "# target: …"; other comments are nothing.
void take_head(ScenarioFile& file, std::string_view comment)
{
  for (const auto& [name, value] : {std::pair("title:", &file.title), std::pair("target:", &file.target)}) {
    const std::size_t at = comment.find_first_not_of("# \t");
    if (at == std::string_view::npos || !comment.substr(at).starts_with(name)) continue;
    const std::string_view rest = comment.substr(at + std::string_view(name).size());
    const std::size_t begin = rest.find_first_not_of(" \t"), end = rest.find_last_not_of(" \t\r");
    *value = begin == std::string_view::npos ? "" : std::string(rest.substr(begin, end + 1 - begin));
  }
}

ScenarioStep::Kind kind_of(const std::vector<std::string>& words, const std::string& where)
{
  using Kind = ScenarioStep::Kind;
  const auto wrong = [&](const std::string& found, const std::string& advice) {
    return Failure(Exit::usage, where, found, advice);
  };
  if (words[0] == "set") {
    if (words.size() == 3 && is_variable_name(words[1])) return Kind::keep;
    throw wrong("'set' takes a name in capitals and a path", "set VIEW views.0.view");
  }
  if (words[0] != "expect") return Kind::command;
  if (words.size() == 3 && words[1] == "status") return Kind::status;
  if (words.size() == 3 && words[1] == "failure") return Kind::failure;
  if (words.size() != 4)
    throw wrong("this expectation has not three words", "expect PATH OP VALUE, expect status N, expect failure TEXT");
  if (std::find(std::begin(operators), std::end(operators), words[2]) == std::end(operators))
    throw wrong(fmt::format("'{}' is no comparison", words[2]), fmt::format("Known: {}.", fmt::join(operators, " ")));
  return Kind::fact;
}

// The value at the path; nothing if there is none.
std::optional<Json> fact_at(const Json& facts, std::string path)
{
  const char separator = path.starts_with('/') ? '/' : '.';
  if (separator == '/') path.erase(0, 1);
  Json at = facts;
  std::istringstream parts(path);
  for (std::string part; std::getline(parts, part, separator);) {
    std::size_t index = 0;
    const char* const end = part.data() + part.size();
    const bool number = std::from_chars(part.data(), end, index).ptr == end && !part.empty();
    Json next;
    if (at.is_object() && at.contains(part))
      next = at[part];
    else if (at.is_array() && number && index < at.size())
      next = at[index];
    else if (at.is_array() && part == "size")
      next = at.size();
    else
      return {};
    at = std::move(next);
  }
  return at;
}

std::string word_of(const Json& fact) { return fact.is_string() ? fact.get<std::string>() : fact.dump(); }

// A number as commands take it; nothing if the word is none.
std::optional<u64> number_of(const std::string& word)
{
  try {
    return parse_number("", word);
  } catch (const Failure&) {
    return {};
  }
}

// As numbers, of which words of 64 bits must not be rounded; nothing if one is none.
std::optional<std::partial_ordering> order(const Json& fact, const std::string& word)
{
  const std::optional<u64> wanted = number_of(word);
  if (!wanted) return {};
  if (fact.is_number_unsigned()) return fact.get<u64>() <=> *wanted;
  if (fact.is_number()) return fact.get<double>() <=> static_cast<double>(*wanted);
  const std::optional<u64> found = fact.is_string() ? number_of(fact.get<std::string>()) : std::nullopt;
  if (!found) return {};
  return *found <=> *wanted;
}

bool equal(const Json& fact, const std::string& word)
{
  if (word_of(fact) == word) return true;
  const auto o = order(fact, word);
  return o && std::is_eq(*o);
}

bool contains(const Json& fact, const std::string& word)
{
  if (fact.is_object()) return fact.contains(word);
  if (fact.is_array()) return std::any_of(fact.begin(), fact.end(), [&](const Json& e) { return equal(e, word); });
  return word_of(fact).find(word) != std::string::npos;
}

bool holds(const Json& fact, const std::string& op, const std::string& word)
{
  if (op == "==") return equal(fact, word);
  if (op == "!=") return !equal(fact, word);
  if (op == "contains") return contains(fact, word);
  const auto o = order(fact, word);
  if (!o) return false;
  if (op == "<") return std::is_lt(*o);
  if (op == "<=") return std::is_lteq(*o);
  return op == ">" ? std::is_gt(*o) : std::is_gteq(*o);
}

class Run {
 public:
  Run(const ScenarioFile& file, const Execute& execute) : file_(file), execute_(execute) {}

  Json steps()
  {
    Json list = Json::array();
    for (at_ = 0; at_ < file_.steps.size() && !over_; ++at_) {
      const ScenarioStep& step = file_.steps[at_];
      Json result{{"line", step.line}, {"text", step.text}, {"ok", true}};
      if (lacking_.empty()) do_step(step, result);
      if (!lacking_.empty()) result["skipped"] = lacking_;
      if (result["ok"] == false) result["reply"] = json_line(reply_.facts).substr(0, shown_reply_bytes);
      list.push_back(std::move(result));
    }
    return list;
  }

 private:
  bool next_is(ScenarioStep::Kind kind) const
  {
    return at_ + 1 < file_.steps.size() && file_.steps[at_ + 1].kind == kind;
  }

  void do_step(const ScenarioStep& step, Json& result)
  {
    std::vector<std::string> words = step.words;
    for (std::string& word : words) fill_in(word, result);
    if (result["ok"] == false) return;
    switch (step.kind) {
      case ScenarioStep::Kind::command: return command(words, result);
      case ScenarioStep::Kind::status:
        return compare(result, equal(reply_.status, words[2]), "status " + words[2], reply_.status);
      case ScenarioStep::Kind::failure:
        return compare(result, !failure_.empty() && failure_.find(words[2]) != std::string::npos, words[2],
                       failure_.empty() ? "it did not fail" : failure_);
      case ScenarioStep::Kind::keep: return keep(words, result);
      case ScenarioStep::Kind::fact: break;
    }
    const auto fact = fact_at(reply_.facts, words[1]);
    compare(result, fact && holds(*fact, words[2], words[3]), fmt::format("{} {}", words[2], words[3]),
            fact ? *fact : Json("the reply has no such fact"));
  }

  static void compare(Json& result, bool ok, const std::string& wanted, const Json& found)
  {
    result["ok"] = ok;
    if (ok) return;
    result["wanted"] = wanted;
    result["found"] = found;
  }

  void fill_in(std::string& word, Json& result) const
  {
    if (!word.starts_with('$')) return;
    const auto kept = kept_.find(word.substr(1));
    if (kept == kept_.end()) return compare(result, false, word, "nothing was kept by this name");
    word = kept->second;
  }

  void command(const std::vector<std::string>& words, Json& result)
  {
    failure_.clear();
    reply_ = {};
    try {
      reply_ = execute_(words);
      compare(result, reply_.status == 0 || next_is(ScenarioStep::Kind::status), "status 0", reply_.status);
    } catch (const Failure& failure) {
      if (failure.code() == Exit::skipped && !next_is(ScenarioStep::Kind::failure)) {
        lacking_ = failure.found();
        return;
      }
      failure_ = failure.what();
      over_ = !next_is(ScenarioStep::Kind::failure);
      compare(result, !over_, "no failure", failure_);
    }
  }

  void keep(const std::vector<std::string>& words, Json& result)
  {
    const auto fact = fact_at(reply_.facts, words[2]);
    if (!fact) return compare(result, false, words[2], "the reply has no such fact");
    kept_[words[1]] = word_of(*fact);
  }

  const ScenarioFile& file_;
  const Execute& execute_;
  std::size_t at_ = 0;
  Reply reply_;
  std::string failure_;  // of the last command; empty: it has not failed
  std::map<std::string, std::string> kept_;
  std::string lacking_;  // what the target lacks: the rest is skipped
  bool over_ = false;
};

std::set<std::string> object_names(const Execute& execute)
{
  std::set<std::string> names;
  const std::vector<std::string> words{"object", "list"};
  const Reply reply = execute(words);  // the array that is walked lives in it
  for (const Json& o : reply.facts.at("objects")) names.insert(o.at("name").get<std::string>());
  return names;
}

// What the scenario left: rules, and objects, clones before their bases.
void clean_up(const Execute& execute, const std::set<std::string>& before)
{
  const auto run = [&](const std::vector<std::string>& words) { execute(words); };
  try {
    run({"run"});  // who still waits at a point goes on
  } catch (const Failure&) {
    // A target that cannot be stepped; a lost one tells it again.
  }
  run({"inject", "clear"});
  for (std::size_t left = ~std::size_t{0};;) {
    std::vector<std::string> made;
    for (const std::string& name : object_names(execute))
      if (!before.contains(name)) made.push_back(name);
    if (made.empty()) return;
    const bool stuck = made.size() >= left;
    left = made.size();
    for (const std::string& name : made) {
      try {
        run({"object", "destroy", name});
      } catch (const Failure&) {
        if (stuck) throw;  // a base waits for its clones, and nothing else
      }
    }
  }
}

void append_diagnostics(std::string& out, const Json& file, const Json& step)
{
  out += fmt::format("  ---\n  file: {}\n  line: {}\n", file["file"].dump(), step["line"].get<int>());
  for (const char* name : {"wanted", "found", "reply"})
    if (step.contains(name)) out += fmt::format("  {}: {}\n", name, step[name].dump());
  out += "  ...\n";
}

}  // namespace

ScenarioFile parse_scenario_file(const std::string& name, std::string_view text)
{
  ScenarioFile file{name, {}, {}, {}};
  std::istringstream lines{std::string(text)};
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string where = fmt::format("{}:{}", name, ++number);
    std::vector<std::string> words;
    try {
      words = split_line(line);
    } catch (const Failure& failure) {
      throw Failure(Exit::usage, where, failure.found(), failure.advice());
    }
    if (words.empty())
      take_head(file, line);
    else
      file.steps.push_back({kind_of(words, where), number, line, std::move(words)});
  }
  if (!file.target.empty() && file.target != "embedded" && file.target != "vm")
    throw Failure(Exit::usage, name, fmt::format("'{}' is no kind of target", file.target), "Known: embedded, vm.");
  if (file.steps.empty()) throw Failure(Exit::usage, name, "there is no command in it");
  if (file.title.empty()) file.title = name;
  return file;
}

Json run_scenario_file(const ScenarioFile& file, const Execute& execute)
{
  Json facts{{"file", file.name}, {"title", file.title}, {"planned", file.steps.size()}};
  const std::vector<std::string> which{"target"};
  const std::string kind = execute(which).facts.at("kind").get<std::string>();
  if (!file.target.empty() && file.target != kind) {
    facts["planned"] = 1;
    facts["skipped"] = fmt::format("it is for the target {}, and this is {}", file.target, kind);
    facts["steps"] = Json::array();
    facts["ok"] = true;
    return facts;
  }
  const std::set<std::string> before = object_names(execute);
  facts["steps"] = Run(file, execute).steps();
  clean_up(execute, before);
  const Json& steps = facts["steps"];
  const bool ok = steps.size() == file.steps.size() &&
                  std::all_of(steps.begin(), steps.end(), [](const Json& s) { return s["ok"] == true; });
  facts["ok"] = ok;
  return facts;
}

std::string tap_text(const Json& facts)
{
  std::size_t planned = 0, number = 0;
  for (const Json& file : facts["files"]) planned += file["planned"].get<std::size_t>();
  std::string out = fmt::format("TAP version 13\n1..{}\n", planned);
  for (const Json& file : facts["files"]) {
    out += fmt::format("# {}\n", file["title"].get<std::string>());
    if (file.contains("skipped"))
      out += fmt::format("ok {} - {} # SKIP {}\n", ++number, file["file"].get<std::string>(),
                         file["skipped"].get<std::string>());
    for (const Json& step : file["steps"]) {
      std::string text = step["text"].get<std::string>();
      std::replace(text.begin(), text.end(), '#', ' ');  // begins a directive
      if (step.contains("skipped")) text += " # SKIP " + step["skipped"].get<std::string>();
      out += fmt::format("{} {} - {}\n", step["ok"] == true ? "ok" : "not ok", ++number, text);
      if (step["ok"] == false) append_diagnostics(out, file, step);
    }
    const std::size_t told = std::max<std::size_t>(file["steps"].size(), file.contains("skipped") ? 1 : 0);
    number += file["planned"].get<std::size_t>() - told;
  }
  return out;
}

}  // namespace morsel::session
