// SPDX-License-Identifier: GPL-2.0-or-later
//
// A server whose door, whose target or whose clients fail, and how it ends.
#include <dlfcn.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <stdexcept>

#include "engine/session/server/session_files.hpp"
#include "engine/session/server/session_thread.hpp"
#include "engine/session/server/tests/door.hpp"
#include "engine/session/tests/forwarding_target.hpp"
#include "engine/sim/embedded_target.hpp"

namespace {

std::atomic<bool> no_descriptors{false};

}  // namespace

// accept(2) of this program, which fails as though the process had no descriptor left. It does not use them up:
// UndefinedBehaviorSanitizer needs two of them to look at an object of a type that it has not seen.
extern "C" int accept(int listening, sockaddr* address, socklen_t* length)
{
  static const auto real = reinterpret_cast<decltype(&accept)>(dlsym(RTLD_NEXT, "accept"));
  if (!no_descriptors) return real(listening, address, length);
  errno = EMFILE;
  return -1;
}

namespace morsel::session {
namespace {

using FailingDoor = Door;

TEST_F(FailingDoor, SaysWhyItCannotListen)
{
  std::filesystem::create_directories(session_socket("test") + "/not-empty");
  try {
    open(sim::make_embedded_target());
    ADD_FAILURE() << "it listens";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), Exit::target_lost);
    EXPECT_EQ(failure.found(), "Address already in use");
  }
}

TEST_F(FailingDoor, EndsBySignalsThatAskForIt)
{
  for (const auto& [signal, why] : {std::pair(SIGTERM, "terminated"), std::pair(SIGINT, "interrupted")}) {
    open(sim::make_embedded_target());
    EXPECT_TRUE(client().next()->contains("morselscope"));
    kill(getpid(), signal);
    thread_.join();
    EXPECT_EQ(ended_.why, why);
    EXPECT_EQ(ended_.status, Exit::done);
    close();
  }
}

std::chrono::nanoseconds cpu_time()
{
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

TEST_F(FailingDoor, WaitsForDescriptorsWithoutTurning)
{
  open(sim::make_embedded_target());
  no_descriptors = true;
  RawClient knocks = client();
  const auto before = cpu_time();
  pollfd greeting{.fd = knocks.fd(), .events = POLLIN, .revents = 0};
  constexpr int a_while_ms = 400;
  EXPECT_EQ(poll(&greeting, 1, a_while_ms), 0) << "there is no descriptor for it";
  EXPECT_LT(cpu_time() - before, std::chrono::milliseconds(a_while_ms / 4));
  no_descriptors = false;
  EXPECT_TRUE(knocks.next()->contains("morselscope"));
}

TEST_F(FailingDoor, RefusesToSendAReplyThatIsTooLong)
{
  ServerLimits limits;
  limits.unsent_bytes = std::size_t{1} << 12;
  open(sim::make_embedded_target(), limits);
  RawClient c = client();
  const Json error = c.ask(R"({"execute":"formats","id":1})")["error"];
  EXPECT_EQ(error["exit"], static_cast<int>(Exit::usage));
  EXPECT_NE(error["found"].get<std::string>().find("too many to send"), std::string::npos) << error;
  EXPECT_EQ(c.ask(R"({"execute":"object-list"})")["return"]["status"], 0);
}

// It throws what no target should.
class ThrowingTarget : public ForwardingTarget {
 public:
  ThrowingTarget() : ForwardingTarget(sim::make_embedded_target()) {}
  Counters counters() override { throw std::runtime_error("out of something"); }
};

TEST_F(FailingDoor, TellsWhateverACommandThrowsAndGoesOn)
{
  open(std::make_unique<ThrowingTarget>());
  RawClient c = client();
  const Json error = c.ask(R"({"execute":"counters"})")["error"];
  EXPECT_EQ(error["exit"], static_cast<int>(Exit::target_lost));
  EXPECT_EQ(error["found"], "out of something");
  EXPECT_EQ(c.ask(R"({"execute":"object-list"})")["return"]["status"], 0);
}

TEST_F(FailingDoor, EndsThoughAClientDoesNotReadItsLastWords)
{
  open(sim::make_embedded_target());
  RawClient deaf = client(), other = client();
  std::string requests;
  for (int n = 0; n < 40; ++n) requests += "{\"execute\":\"query-commands\"}\n";
  deaf.send(requests);
  EXPECT_TRUE(deaf.reply().contains("return"));  // and no more
  EXPECT_TRUE(other.ask(R"({"execute":"end-session"})").contains("return"));
  thread_.join();
  EXPECT_EQ(ended_.status, Exit::done);
  EXPECT_FALSE(ended_.busy);
}

// What comes behind it tells why, and so has to come.
TEST(SessionThread, GoesOnBehindWorkBesideItThatThrows)
{
  boost::asio::io_context loop;
  SessionThread thread(loop);
  bool went_on = false;
  thread.beside([] { throw Failure(Exit::target_lost, "open the gate", "it does not answer"); },
                [&] { went_on = true; });
  const auto waits_for_it = boost::asio::make_work_guard(loop);
  while (!went_on) loop.run_one();
  thread.join();
  EXPECT_TRUE(went_on);
}

}  // namespace
}  // namespace morsel::session
