// SPDX-License-Identifier: GPL-2.0-or-later
//
// Programs that the agent runs: how their ends, output and failures reach the host.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "testvm/agent/tests/host.hpp"

namespace morsel::agent {
namespace {

Json shell(const std::string& script) { return {{"argv", {"sh", "-c", script}}}; }

TEST(Programs, PassExitStatusAndOutputThrough)
{
  Host host;
  const Json result = host.done("run", shell("echo out; echo err >&2; exit 42"));
  EXPECT_EQ(result, (Json{{"exit_status", 42}, {"stdout", "out\n"}, {"stderr", "err\n"}}));
}

TEST(Programs, PassASignalThrough)
{
  Host host;
  const Json result = host.done("run", shell("kill -SEGV $$"));
  EXPECT_EQ(result["signal"], SIGSEGV);
  EXPECT_EQ(result["signal_name"], "SIGSEGV");
  EXPECT_FALSE(result.contains("exit_status"));
}

TEST(Programs, HaveTheEnvironmentThatWasAskedFor)
{
  Host host;
  Json request = shell("echo $MORSEL_COLOUR; test -n \"$PATH\"; cat");
  request["env"] = {"MORSEL_COLOUR=green"};
  EXPECT_EQ(host.done("run", request)["stdout"], "green\n") << "and standard input is empty";
  request["env"] = {"no equals sign"};
  EXPECT_EQ(host.refused("run", request), "EINVAL");
}

TEST(Programs, ThatCannotStartAreRefused)
{
  Host host;
  EXPECT_EQ(host.refused("run", {{"argv", {"/nonexistent/program"}}}), "ENOENT");
  EXPECT_EQ(host.refused("run", {{"argv", {"/etc/passwd"}}}), "EACCES");
  EXPECT_EQ(host.refused("run", {{"argv", Json::array()}}), "EINVAL");
  EXPECT_EQ(host.refused("run", {{"argv", {""}}}), "EINVAL");
  EXPECT_EQ(host.refused("run", {{"argv", "sh"}}), "EINVAL");
  EXPECT_EQ(host.refused("run", {{"argv", {"sh", 1}}}), "EINVAL");
  EXPECT_EQ(host.refused("run"), "EINVAL");
}

// What the holder does when the one who waits for a program is gone.
TEST(Programs, AreKilledByTheirTagWithWhatTheyStarted)
{
  char folder[] = "/tmp/morsel-programs-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string fifo = std::string(folder) + "/pid";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  Host host;
  host.receive_greeting();
  Json request = {{"execute", "run"}, {"arguments", shell("sleep 1000 & echo $! > " + fifo + "; wait")}, {"id", 1000}};
  request["arguments"]["tag"] = 7;
  host.send(request.dump() + "\n");
  pid_t started = 0;
  std::ifstream(fifo) >> started;  // waits for the writer
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, started, 0)));
  ASSERT_TRUE(process);
  EXPECT_EQ(host.done("kill", {{"tag", 8}}), Json::object());  // of no program
  EXPECT_EQ(host.done("kill", {{"tag", 7}}), Json::object());
  EXPECT_EQ(host.receive_reply(1000)["return"]["signal"], SIGKILL);
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&ended, 1, 60'000), 1);
  EXPECT_EQ(host.done("kill", {{"tag", 7}}), Json::object());  // it has ended already
  EXPECT_EQ(host.refused("kill", {{"tag", "seven"}}), "EINVAL");
  unlink(fifo.c_str());
  rmdir(folder);
}

TEST(Programs, LetOtherRequestsPassWhileTheyRun)
{
  Host host;
  host.receive_greeting();
  Json request = {{"execute", "run"}, {"arguments", shell("echo started; exec sleep 1000")}, {"id", 1000}};
  request["arguments"]["detach"] = true;
  host.send(request.dump() + "\n");
  const int pid = host.receive_reply(1000)["return"]["pid"].get<int>();
  const Json started = host.event("PROGRAM_OUTPUT");
  EXPECT_EQ(started, (Json{{"pid", pid}, {"stream", "stdout"}, {"text", "started\n"}}));

  host.send(Json{{"execute", "wait"}, {"arguments", {{"pid", pid}}}, {"id", 1001}}.dump() + "\n");
  host.done("object-create", {{"name", "a"}, {"bytes", 4096}});  // answered before the program ends
  host.done("kill", {{"pid", pid}, {"signal", "SIGTERM"}});
  EXPECT_EQ(host.receive_reply(1001)["return"]["signal"], SIGTERM);
  const Json ended = host.event("PROGRAM_ENDED");
  EXPECT_EQ(ended["pid"], pid);
  EXPECT_EQ(ended["signal"], SIGTERM);
}

TEST(Programs, CanBeWaitedForAfterTheirEnd)
{
  Host host;
  Json request = shell("echo done; exit 5");
  request["detach"] = true;
  const int pid = host.done("run", request)["pid"].get<int>();
  EXPECT_EQ(host.event("PROGRAM_ENDED")["exit_status"], 5);
  EXPECT_EQ(host.done("wait", {{"pid", pid}})["stdout"], "done\n");
  EXPECT_EQ(host.refused("wait", {{"pid", pid}}), "ESRCH") << "the result is given once";
}

TEST(Programs, OfOthersCannotBeTouched)
{
  Host host;
  EXPECT_EQ(host.refused("kill", {{"pid", 1}}), "ESRCH");
  EXPECT_EQ(host.refused("wait", {{"pid", 1}}), "ESRCH");
  for (const Json& pid : {Json(0), Json(-1), Json(std::uint64_t{1} << 32), Json(3'000'000'000u), Json("1")})
    EXPECT_EQ(host.refused("kill", {{"pid", pid}}), "EINVAL") << pid;
  for (const Json& signal : {Json(0), Json(65), Json(-9), Json("SIGNONE"), Json(""), Json(1.5)})
    EXPECT_EQ(host.refused("kill", {{"pid", 1}, {"signal", signal}}), "EINVAL") << signal;
}

TEST(Programs, MayWriteMoreThanIsKept)
{
  Host host;
  const Json result = host.done("run", shell("head -c 1000000 /dev/zero | tr '\\0' x; exit 3"));
  EXPECT_EQ(result["exit_status"], 3);
  EXPECT_EQ(result["stdout"].get<std::string>(), std::string(kept_output_bytes, 'x'));
  EXPECT_EQ(result["stdout_cut"], true);
  EXPECT_FALSE(result.contains("stderr_cut"));
}

TEST(Programs, MayWriteBytesThatAreNotText)
{
  Host host;
  const Json result = host.done("run", shell("head -c 70000 /dev/urandom; printf '\\377\\376\\000'"));
  EXPECT_TRUE(result["stdout"].is_string()) << "broken bytes are replaced, the line stays JSON";
}

TEST(Programs, EndEvenIfTheyLeaveAChildThatHoldsTheirOutput)
{
  Host host;
  const Json result = host.done("run", shell("sleep 1000 & echo $!; exit 0"));
  EXPECT_EQ(result["exit_status"], 0);
  kill(std::stoi(result["stdout"].get<std::string>()), SIGKILL);
}

TEST(Programs, WaitForAHostThatDoesNotRead)
{
  Host host;
  Json request = shell("head -c 20000000 /dev/zero | tr '\\0' '\\n'; exit 6");
  request["detach"] = true;
  const int pid = host.done("run", request)["pid"].get<int>();
  // Nobody reads now: the agent must stop reading the program rather than keep 20 MB. What it had sent comes first.
  std::size_t lines = 0;
  for (;;) {
    const Json message = host.receive();
    ASSERT_FALSE(message.is_null());
    if (message.value("event", "") == "PROGRAM_OUTPUT") lines += message["data"]["text"].get<std::string>().size();
    if (message.value("event", "") != "PROGRAM_ENDED") continue;
    EXPECT_EQ(message["data"]["exit_status"], 6);
    break;
  }
  EXPECT_EQ(lines, 20'000'000u) << "nothing was lost either";
  EXPECT_EQ(host.done("wait", {{"pid", pid}})["stdout_cut"], true);
}

TEST(Programs, AreKilledWithTheirAgent)
{
  Host host;
  Json request = shell("echo $$; exec sleep 1000");
  request["detach"] = true;
  const int pid = host.done("run", request)["pid"].get<int>();
  EXPECT_EQ(host.event("PROGRAM_OUTPUT")["text"], std::to_string(pid) + "\n");
  host.finish();
  EXPECT_EQ(kill(pid, 0), -1) << "it was killed and waited for";
}

TEST(Programs, AreLimitedInNumber)
{
  Host host;
  Json request = shell("exec sleep 1000");
  request["detach"] = true;
  for (std::size_t i = 0; i < max_programs; ++i) host.done("run", request);
  EXPECT_EQ(host.refused("run", request), "EAGAIN");
}

}  // namespace
}  // namespace morsel::agent
