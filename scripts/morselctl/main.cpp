// SPDX-License-Identifier: GPL-2.0-or-later
//
// morselctl: the command table on a terminal. Global options are parsed here; all other words belong to the table.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "engine/session/words.hpp"
#include "scripts/morselctl/dumps.hpp"
#include "scripts/morselctl/machines.hpp"
#include "scripts/morselctl/scenarios.hpp"
#include "scripts/morselctl/sessions.hpp"
#include "scripts/morselctl/watch.hpp"

namespace {

using namespace morsel;
using session::Exit;
using session::Failure;
using session::Reply;
using session::Session;
using Words = std::vector<std::string>;

struct Options {
  bool embedded = false;
  std::string vm;
  std::string session;
  ctl::Look look;
  bool json = false;
  bool no_color = false;
  Words words;
};

class Program {
 public:
  Program(const Options& options, Session& session, ctl::Executor& executor)
      : options_(options), session_(session), executor_(executor)
  {
  }

  int run()
  {
    if (options_.words.empty() || options_.words == Words{"-"}) return run_lines();
    const std::vector<Words> commands = split_commands();
    for (const Words& words : commands)
      if (!one(words, commands.size() > 1)) break;
    return status_;
  }

 private:
  // `;` and `--` separate commands; a command that takes a program's words keeps its `--`.
  std::vector<Words> split_commands() const
  {
    std::vector<Words> commands(1);
    for (const std::string& word : options_.words) {
      const bool separates = word == ";" || (word == "--" && !keeps_dashes(commands.back()));
      if (!separates)
        commands.back().push_back(word);
      else if (!commands.back().empty())
        commands.emplace_back();
    }
    if (commands.back().empty() && commands.size() > 1) commands.pop_back();
    return commands;
  }

  bool keeps_dashes(const Words& words) const
  {
    for (const session::Command& c : session_.table().commands())
      if (c.takes_rest() && !words.empty() && c.path == words[0]) return true;
    return false;
  }

  int run_lines()
  {
    const bool person = isatty(STDIN_FILENO) && is_person();
    std::string line;
    while (prompt(person) && std::getline(std::cin, line)) {
      Words words;
      try {
        words = session::split_line(line);
      } catch (const Failure& failure) {
        fail(failure, options_.json);
        if (!person) return status_;
        continue;
      }
      if (!words.empty() && !one(words, !person) && !person) return status_;
    }
    return person ? 0 : status_;
  }

  static bool is_person() { return isatty(STDOUT_FILENO); }

  static bool prompt(bool person)
  {
    if (person) std::cout << "morsel> " << std::flush;
    return true;
  }

  // False after a failure. A check that does not hold is no failure: it is remembered, and the next command runs.
  bool one(Words words, bool echo)
  {
    ctl::expand_scenario_words(words);
    const bool json = options_.json || std::find(words.begin(), words.end(), "--json") != words.end();
    if (echo && !json) std::cout << session_.style.dim(fmt::format("> {}", fmt::join(words, " "))) << "\n";
    try {
      if (ctl::is_watched(session_.table(), words))
        ctl::watch(executor_, words, {.style = session_.style, .as_json = json, .person = is_person()});
      Reply reply = executor_.execute(words);
      reply.as_json = reply.as_json || options_.json;
      std::cout << reply.shown() << std::flush;
      if (!reply.as_json) std::cerr << reply.errors;
      if (reply.status != 0) status_ = reply.status;
      return true;
    } catch (const Failure& failure) {
      fail(failure, json);
    } catch (const std::exception& e) {
      fail(Failure(Exit::target_lost, fmt::format("{}", fmt::join(words, " ")), e.what(), {}), json);
    }
    return false;
  }

  void fail(const Failure& failure, bool json)
  {
    status_ = static_cast<int>(failure.code());
    if (json)
      std::cout << session::json_line(session::failure_facts(failure)) << std::flush;
    else
      std::cerr << "morselctl: " << session::printable(failure.what()) << std::endl;
  }

  const Options& options_;
  Session& session_;  // its table and style; `executor_` does the commands
  ctl::Executor& executor_;
  int status_ = 0;
};

bool terminal_has_color(const Options& options)
{
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return !options.no_color && !options.json && !(no_color && *no_color) && isatty(STDOUT_FILENO) &&
         !(term && std::string_view(term) == "dumb");
}

int morselctl(int argc, char** argv)
{
  Options options;
  CLI::App app{"Drives objects, views and machines of Morselscope. 'morselctl help' lists the commands.", "morselctl"};
  app.add_flag("--embedded", options.embedded, "The machine inside this process; no VM is needed");
  app.add_option("--vm", options.vm, "The test VM of this name")->type_name("NAME");
  app.add_option("--session", options.session, "The running session of this name (see: serve)")->type_name("NAME");
  app.add_option("--dump", options.look.dump, "A saved dump: an ELF core, or a raw image of RAM")->type_name("FILE");
  app.add_option("--guest", options.look.guest, "A running guest: a libvirt domain, or a QEMU's process id")
      ->type_name("DOMAIN");
  app.add_option("--root", options.look.root, "Of a dump or guest: look at this root, too")->type_name("ROOT");
  app.add_option("--format", options.look.format, "The format of --root; amd64 without")->type_name("FORMAT");
  app.add_option("--layout", options.look.layout, "Where RAM lies: flat, q35, pc")->type_name("LAYOUT");
  app.add_flag("--json", options.json, "One line of JSON per command, with the same facts");
  app.add_flag("--no-color", options.no_color, "No colours (also: NO_COLOR in the environment)");
  app.prefix_command();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : static_cast<int>(Exit::usage);
  }
  options.words = app.remaining();
  if (options.embedded + !options.vm.empty() + !options.session.empty() + !options.look.dump.empty() +
          !options.look.guest.empty() >
      1) {
    std::cerr << "morselctl: --embedded, --vm, --session, --dump and --guest exclude each other\n";
    return static_cast<int>(Exit::usage);
  }
  try {
    ctl::check_look(options.look);
  } catch (const Failure& failure) {
    std::cerr << "morselctl: " << failure.what() << "\n";
    return static_cast<int>(Exit::usage);
  }
  const ctl::Choice choice{options.embedded, options.vm, options.session, options.look};
  Session session([choice] { return ctl::open_target(choice); }, ctl::commands(choice));
  session.style.color = terminal_has_color(options);
  const auto executor = ctl::make_executor(choice, session);
  return Program(options, session, *executor).run();
}

}  // namespace

int main(int argc, char** argv) { return morselctl(argc, argv); }
