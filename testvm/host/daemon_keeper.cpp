// SPDX-License-Identifier: GPL-2.0-or-later
//
// The keeper's process. It is also the reaper of what libvirtd leaves behind: QEMU detaches itself, and where the first
// process of the machine collects dead children late (containers), libvirt would wait for a zombie for seconds whenever
// it stops a VM.
//
// As root the daemon runs in a mount namespace of its own, in which two files are covered, so that nothing outside it
// changes:
//  - /etc/libvirt/qemu.conf: QEMU's output goes to files instead of a second daemon (virtlogd); no cgroups, no /dev of
//    its own for each VM.
//  - /dev/kvm, if QEMU's user may not open it: libvirt 9 probes QEMU with CAP_DAC_OVERRIDE, finds KVM, then finds that
//    the user may not use it, takes its cache of QEMU's abilities for outdated, and probes again, 25 times (a minute)
//    for each VM.
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "testvm/host/libvirt_daemons.hpp"
#include "testvm/host/runtime_folder.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

constexpr Milliseconds first_lease_limit{30'000};  // guards against a user that died before it connected
constexpr Milliseconds guests_limit{10'000};       // for libvirt to end the VMs of users that died
constexpr Milliseconds stop_limit{10'000};         // for libvirtd to end

// libvirtd needs 30 MiB. Once, on a machine short of everything, it grew until the machine had no memory left (21 GiB);
// with a limit it ends before that, and is started again. QEMU inherits it: guest memory, being shared, does not count.
constexpr unsigned long daemon_data_bytes = 6ul << 30;

constexpr const char* qemu_configuration =
    "# Covers /etc/libvirt/qemu.conf for a libvirtd that Morselscope started, and for nobody else.\n"
    "stdio_handler = \"file\"\n"
    "namespaces = []\n"
    "cgroup_controllers = []\n";

bool others_may_open_kvm()
{
  struct stat status {};
  if (stat("/dev/kvm", &status) != 0) return true;  // nothing to cover
  const passwd* user = getpwnam("libvirt-qemu");
  if (!user) return true;
  const bool by_group = (status.st_mode & 0060) == 0060 && status.st_gid == user->pw_gid;
  return by_group || (status.st_mode & 0006) == 0006;
}

// Returns what could not be done; empty: all of it.
std::string enter_own_namespace(const fs::path& folder)
{
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return "a mount namespace: " + errno_text();
  const fs::path configuration = folder / "daemons.qemu.conf", no_device = folder / "daemons.no-kvm";
  write_file(configuration, qemu_configuration, 0600);
  if (mount(configuration.c_str(), "/etc/libvirt/qemu.conf", nullptr, MS_BIND, nullptr) != 0)
    return "covering /etc/libvirt/qemu.conf: " + errno_text();
  if (others_may_open_kvm()) return {};
  write_file(no_device, "", 0);
  if (mount(no_device.c_str(), "/dev/kvm", nullptr, MS_BIND, nullptr) != 0) return "covering /dev/kvm: " + errno_text();
  return {};
}

// The datagram socket of sd_notify(3), on which libvirtd says READY=1.
UniqueFd make_notify_socket(const fs::path& path)
{
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  unlink(path.c_str());
  if (!fd || bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw Failure(Exit::target_lost, "listening on " + path.string(), errno_text());
  return fd;
}

class Keeper {
 public:
  explicit Keeper(UniqueFd ready) : folder_(runtime_folder()), ready_(std::move(ready)) {}
  int run();

 private:
  void start_daemons();
  void start_daemon(const std::string& name);
  void serve();
  void accept_users();
  void hear_from_daemon();
  void reap();
  void daemon_ended(const std::string& name, int status);
  void tell(const std::string& text);
  bool stop_if_unused();
  void stop_daemons();
  bool poll_once(Milliseconds limit);
  std::vector<pid_t> children(const std::string& argument_part) const;

  fs::path folder_;
  UniqueFd ready_, listener_, notify_, signals_;
  std::vector<UniqueFd> users_;
  struct Daemon {
    std::string name;
    pid_t pid = 0;
  };
  std::vector<Daemon> daemons_;
  enum class State { starting, up, failed } state_ = State::starting;
  std::string state_text_;
  bool had_user_ = false, told_to_end_ = false, stopping_ = false;
};

int Keeper::run()
{
  signal(SIGPIPE, SIG_IGN);
  sigset_t watched;
  sigemptyset(&watched);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&watched, number);
  sigprocmask(SIG_BLOCK, &watched, nullptr);
  signals_ = UniqueFd(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  prctl(PR_SET_CHILD_SUBREAPER, 1);

  listener_ = listen_unix(folder_ / "daemons.sock");
  set_nonblocking(listener_.get());
  if (write(ready_.get(), "", 1) != 1) return 1;
  ready_.reset();
  try {
    start_daemons();
  } catch (const std::exception& error) {
    state_ = State::failed;
    state_text_ = error.what();
  }
  serve();
  return 0;
}

void Keeper::start_daemons()
{
  std::string unprepared = "the default configuration of a user's session";
  if (geteuid() == 0) unprepared = enter_own_namespace(folder_);
  if (!unprepared.empty() && geteuid() == 0) {
    dprintf(2, "not possible here: %s; going on with the machine's own configuration\n", unprepared.c_str());
    start_daemon("virtlogd");
  }
  notify_ = make_notify_socket(folder_ / "daemons.notify");
  start_daemon("libvirtd");
}

void Keeper::start_daemon(const std::string& name)
{
  const auto program = find_program(name);
  if (!program)
    throw Failure(Exit::skipped, "starting " + name, "it is not installed", "apt-get install libvirt-daemon-system");
  ChildSetup setup;
  setup.argv = {program->string()};
  setup.environment_additions = {"NOTIFY_SOCKET=" + (folder_ / "daemons.notify").string()};
  setup.errors = 2;
  setup.data_limit_bytes = daemon_data_bytes;
  setup.parent_death_signal = SIGTERM;
  daemons_.push_back({name, start_child(setup)});
}

void Keeper::serve()
{
  for (;;) {
    const bool happened = poll_once(had_user_ ? Milliseconds(-1) : first_lease_limit);
    if (!happened) had_user_ = true;
    while (told_to_end_ || (had_user_ && users_.empty()))
      if (stop_if_unused()) return;
  }
}

bool Keeper::poll_once(Milliseconds limit)
{
  std::vector<pollfd> waits{{listener_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
  waits.push_back({notify_ ? notify_.get() : -1, POLLIN, 0});
  const std::size_t fixed = waits.size();
  for (const UniqueFd& user : users_) waits.push_back({user.get(), POLLIN, 0});
  const int ready = poll(waits.data(), waits.size(), static_cast<int>(limit.count()));
  if (ready <= 0) return ready < 0;
  // A user never writes: whatever makes its lease readable is its end.
  for (std::size_t i = waits.size(); i-- > fixed;)
    if (waits[i].revents) users_.erase(users_.begin() + static_cast<std::ptrdiff_t>(i - fixed));
  if (waits[1].revents) reap();
  if (waits[2].revents) hear_from_daemon();
  if (waits[0].revents) accept_users();
  return true;
}

void Keeper::accept_users()
{
  for (;;) {
    UniqueFd user(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!user) return;
    had_user_ = true;
    if (state_ == State::up) write_all(user.get(), "ready\n");
    if (state_ == State::failed) write_all(user.get(), state_text_ + "\n");
    users_.push_back(std::move(user));
  }
}

void Keeper::hear_from_daemon()
{
  char message[4096];
  const ssize_t length = recv(notify_.get(), message, sizeof message, 0);
  if (length <= 0 || std::string_view(message, static_cast<std::size_t>(length)).find("READY=1") == std::string::npos)
    return;
  state_ = State::up;
  tell("ready");
}

void Keeper::reap()
{
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof info) == sizeof info)
    if (info.ssi_signo != SIGCHLD) told_to_end_ = true;
  int status = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    const auto daemon = std::find_if(daemons_.begin(), daemons_.end(), [&](const Daemon& d) { return d.pid == pid; });
    if (daemon == daemons_.end()) continue;
    const std::string name = daemon->name;
    daemons_.erase(daemon);
    daemon_ended(name, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
}

// One that was up and died is started again for whoever comes; those whose VMs it took with it notice by themselves.
void Keeper::daemon_ended(const std::string& name, int status)
{
  if (stopping_) return;
  if (state_ == State::up) {
    if (name == "libvirtd") state_ = State::starting;
    return start_daemon(name);
  }
  state_ = State::failed;
  state_text_ = name + " ended with status " + std::to_string(status) + ": " + tail_of(folder_ / "daemons.log", 1);
  tell(state_text_);
}

void Keeper::tell(const std::string& text)
{
  for (const UniqueFd& user : users_) write_all(user.get(), text + "\n");
}

// Nobody can be in the middle of asking for a lease while the lock is held here.
bool Keeper::stop_if_unused()
{
  const auto lock = take_lock(folder_ / "daemons.lock", Wait::no);
  if (!lock) {
    // Whoever holds it is about to connect, or about to give up: its connection, or the next second, wakes us.
    poll_once(Milliseconds(1000));
    return false;
  }
  accept_users();
  if (!users_.empty() && !told_to_end_) return false;
  stop_daemons();
  std::error_code ignored;
  for (const char* name : {"daemons.sock", "daemons.notify", "daemons.qemu.conf", "daemons.no-kvm", "daemons.log"})
    fs::remove(folder_ / name, ignored);
  fs::remove(folder_ / "daemons.lock", ignored);
  return true;
}

// Children of this process, QEMUs and daemons alike, with `argument_part` in their command line.
std::vector<pid_t> Keeper::children(const std::string& argument_part) const
{
  std::vector<pid_t> found;
  std::ifstream list("/proc/self/task/" + std::to_string(getpid()) + "/children");
  for (pid_t pid; list >> pid;)
    if (read_file("/proc/" + std::to_string(pid) + "/cmdline").find(argument_part) != std::string::npos)
      found.push_back(pid);
  return found;
}

void Keeper::stop_daemons()
{
  stopping_ = true;
  const auto until = [this](auto done, Milliseconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      const auto left = std::chrono::duration_cast<Milliseconds>(end - std::chrono::steady_clock::now());
      if (left.count() <= 0) return;
      pollfd wait{signals_.get(), POLLIN, 0};
      poll(&wait, 1, static_cast<int>(left.count()));
      reap();
    }
  };
  // The users' connections are gone: libvirtd ends their domains by itself. It must live until then.
  const std::string ours = "guest=morsel-";
  if (!daemons_.empty()) until([&] { return children(ours).empty(); }, guests_limit);
  for (const pid_t guest : children(ours)) kill(guest, SIGKILL);
  for (const Daemon& daemon : daemons_) kill(daemon.pid, SIGTERM);
  until([&] { return daemons_.empty(); }, stop_limit);
  for (const Daemon& daemon : daemons_) kill(daemon.pid, SIGKILL);
  // A session's libvirtd starts its own virtlogd.
  for (const pid_t logger : children("virtlogd")) kill(logger, SIGTERM);
  until([&] { return children("").empty(); }, guests_limit);
}

}  // namespace

int run_daemon_keeper(UniqueFd ready) { return Keeper(std::move(ready)).run(); }

}  // namespace morsel::testvm
