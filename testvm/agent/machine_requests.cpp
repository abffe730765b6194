// SPDX-License-Identifier: GPL-2.0-or-later
//
// Requests about the guest itself: programs, module, log, power.
#include <csignal>
#include <cstring>
#include <limits>

#include "testvm/agent/facts.hpp"
#include "testvm/agent/requests.hpp"

namespace morsel::agent {
namespace {

// What a request costs at least.
std::optional<Json> echo(Context&, const Arguments&) { return Json::object(); }

std::optional<Json> greet(Context& context, const Arguments&) { return Json{{"morsel", greeting(context.module)}}; }

std::optional<Json> run(Context& context, const Arguments& arguments)
{
  const bool detach = arguments.flag("detach");
  const pid_t pid = context.programs.start(
      arguments.texts("argv"), arguments.texts("env"), detach ? Programs::Attach::detach : Programs::Attach::yes,
      {.tag = arguments.number_if("tag"), .client = arguments.number_if("client")});
  if (detach) return Json{{"pid", pid}};
  context.programs.when_ended(pid, context.reply_later);
  return std::nullopt;
}

pid_t pid_of(const Arguments& arguments)
{
  const std::uint32_t pid = arguments.small_number("pid");
  if (pid == 0 || pid > static_cast<std::uint32_t>(std::numeric_limits<pid_t>::max()))
    throw RequestError(EINVAL, "argument 'pid' is a process id");
  return static_cast<pid_t>(pid);
}

std::optional<Json> wait(Context& context, const Arguments& arguments)
{
  context.programs.when_ended(pid_of(arguments), context.reply_later);
  return std::nullopt;
}

// A number, or a name with or without its SIG; by default SIGKILL.
int signal_of(const Arguments& arguments)
{
  if (!arguments.has("signal")) return SIGKILL;
  if (arguments.is_number("signal")) {
    const std::uint32_t number = arguments.small_number("signal");
    if (number > 0 && number < static_cast<std::uint32_t>(NSIG)) return static_cast<int>(number);
  } else {
    std::string name = arguments.text("signal");
    if (name.starts_with("SIG")) name.erase(0, 3);
    for (int number = 1; number < NSIG; ++number)
      if (const char* known = sigabbrev_np(number); known && name == known) return number;
  }
  throw RequestError(EINVAL, "argument 'signal' is no signal");
}

std::optional<Json> kill_program(Context& context, const Arguments& arguments)
{
  if (const auto tag = arguments.number_if("tag"))
    context.programs.kill_tagged(*tag);
  else
    context.programs.send_signal(pid_of(arguments), signal_of(arguments));
  return Json::object();
}

std::optional<Json> read_kernel_log(Context&, const Arguments&) { return Json{{"text", kernel_log()}}; }

std::optional<Json> show_landmark(Context&, const Arguments&) { return landmark(); }

std::optional<Json> load_module(Context& context, const Arguments& arguments)
{
  context.module.load(arguments.text_or("params", ""));
  return Json{{"morsel", greeting(context.module)}};
}

std::string still_at_work(const std::vector<Workers::Job>& jobs)
{
  std::string words;
  for (const Workers::Job& job : jobs) words += (words.empty() ? "" : ", ") + job.what;
  return words + (jobs.size() == 1 ? " is still at work" : " are still at work");
}

// Whoever works has an object's file open, and that holds the module, as do the gate's descriptor and the other one's.
std::optional<Json> unload_module(Context& context, const Arguments& arguments)
{
  context.gate.run();
  context.faults.stop();
  context.workers.when_idle(limit_of(arguments), [&module = context.module, &workers = context.workers,
                                                  done = context.reply_later, failed = context.fail_later](bool idle) {
    try {
      if (!idle) throw RequestError(ETIMEDOUT, "unloading morsel.ko: " + still_at_work(workers.running()));
      module.unload();
      done(Json::object());
    } catch (const RequestError& error) {
      failed(error);
    }
  });
  return std::nullopt;
}

std::optional<Json> power_off(Context& context, const Arguments&)
{
  context.power_off();
  return Json::object();
}

}  // namespace

std::span<const RequestKind> machine_requests()
{
  static const RequestKind kinds[] = {
      {"echo", {}, echo},
      {"greet", {}, greet},
      {"run", {"argv", "env", "detach", "tag", "client"}, run},
      {"wait", {"pid"}, wait},
      {"kill", {"pid", "signal", "tag"}, kill_program},
      {"kernel-log", {}, read_kernel_log},
      {"landmark", {}, show_landmark},
      {"module-load", {"params"}, load_module},
      {"module-unload", {"limit_ms"}, unload_module},
      {"power-off", {}, power_off},
  };
  return kinds;
}

}  // namespace morsel::agent
