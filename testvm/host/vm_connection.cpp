// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/vm_connection.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "testvm/host/runtime_folder.hpp"
#include "testvm/image/image.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

constexpr Milliseconds end_limit{15'000};  // a guard against a holder that hangs

// A reply's error class is an errno name where the agent has one; the caller's own mistakes are usage.
Exit exit_of(const std::string& error_class)
{
  for (const char* usage : {"EINVAL", "ENOENT", "EEXIST", "ERANGE", "E2BIG", "ENAMETOOLONG", "EBADMSG", "ESRCH"})
    if (error_class == usage) return Exit::usage;
  for (const char* lost : {"EPROTO", "EIO", "ENODEV", "EAGAIN"})
    if (error_class == lost) return Exit::target_lost;
  return Exit::check_failed;
}

// Requests that an agent does in threads of their own, because they may stand at the gate (testvm/agent/README.md).
bool reaches_points(std::string_view command)
{
  if (command == "object-list" || command == "object-info") return false;
  return command.starts_with("object-") || command.starts_with("view-") || command == "access";
}

}  // namespace

fs::path holder_program()
{
  constexpr const char* name = "morsel-vm-holder";
  std::error_code error;
  fs::path beside = fs::read_symlink("/proc/self/exe", error).parent_path() / name;
  if (access(beside.c_str(), X_OK) == 0) return beside;
  fs::path built = find_build_folder() / "bin" / name;
  if (access(built.c_str(), X_OK) == 0) return built;
  throw Failure(Exit::skipped, "looking for the program " + std::string(name),
                "there is none in " + built.parent_path().string(), "build the target `morsel-vm-holder`");
}

std::unique_ptr<VmConnection> VmConnection::start(const VmConfig& config)
{
  check_vm_name(config.name);
  SocketPair pair = make_socket_pair("starting the VM's holder");
  ChildSetup setup;
  setup.argv = {holder_program().string(), "hold", std::to_string(pair.theirs.get())};
  setup.kept = {pair.theirs.get()};
  const pid_t pid = start_child(setup);
  pair.theirs.reset();
  // The holder detaches by itself: what was started here ends at once, and the VM's processes are nobody's children.
  wait_child(pid);
  if (!write_all(pair.ours.get(), encode(to_json(config))))
    throw Failure(Exit::target_lost, "starting the VM's holder", "it ended at once");
  auto connection = std::make_unique<VmConnection>(std::move(pair.ours), config.start_limit + Milliseconds(180'000));
  connection->owns_vm_ = config.lifetime == Lifetime::as_owner;
  return connection;
}

std::unique_ptr<VmConnection> VmConnection::attach(const std::string& name)
{
  const VmPaths paths(name);
  auto socket = connect_unix(paths.socket);
  if (!socket)
    throw Failure(Exit::usage, "attaching to the VM '" + name + "'", "no VM of that name runs",
                  "`morselctl vm list` shows those that run, `morselctl vm up` starts one");
  return std::make_unique<VmConnection>(std::move(*socket), Milliseconds(300'000));
}

VmConnection::VmConnection(UniqueFd socket, Milliseconds greeting_limit) : socket_(std::move(socket))
{
  read_greeting(greeting_limit);
  reader_ = std::thread([this] { read_all(); });
}

VmConnection::~VmConnection()
{
  listen({});
  shutdown(socket_.get(), SHUT_WR);
  if (owns_vm_) wait_for_end(end_limit);
  shutdown(socket_.get(), SHUT_RDWR);
  if (reader_.joinable()) reader_.join();
}

void VmConnection::read_greeting(Milliseconds limit)
{
  const std::string tried = "waiting for the VM";
  try {
    for (;;) {
      const auto line = read_line(socket_.get(), limit);
      if (!line) throw Failure(Exit::target_lost, tried, "its holder ended without a word, or did not answer");
      const Json message = parse_message(*line);
      if (message.contains("error")) throw failure_from_json(object_at(message, "error"));
      if (message.value("event", Json()) == "TARGET_LOST")
        throw Failure(Exit::target_lost, tried, text_at(object_at(message, "data"), "reason"));
      if (!message.contains("vm")) continue;  // an event from before we were welcome
      info_ = info_from_json(message["vm"]);
      return;
    }
  } catch (const BadMessage& error) {
    throw Failure(Exit::target_lost, tried, std::string("its holder sent a bad line: ") + error.what());
  }
}

void VmConnection::read_all()
{
  LineReader lines;
  char buffer[65536];
  for (ssize_t got; (got = read(socket_.get(), buffer, sizeof buffer)) != 0;) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    lines.append({buffer, static_cast<std::size_t>(got)});
    while (const auto line = lines.next())
      if (const auto* text = std::get_if<std::string>(&*line)) receive(*text);
  }
  if (!lost()) {
    // The holder was killed and could not say it: whoever listens hears of the end nevertheless.
    const std::string reason = "its holder ended", console = tail_of(info_.console, 15);
    lose(reason, console);
    const std::lock_guard lock(listening_);
    if (listener_) listener_({{"event", "TARGET_LOST"}, {"data", {{"reason", reason}, {"console", console}}}});
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void VmConnection::receive(const std::string& line)
{
  Json message;
  try {
    message = parse_message(line);
  } catch (const BadMessage&) {
    return;  // the holder checks what the agent sends: this cannot be waited for by anybody
  }
  if (message.contains("event")) {
    const Json data = object_at(message, "data");
    if (message["event"] == "TARGET_LOST") lose(text_at(data, "reason"), text_at(data, "console"));
    if (message["event"] == "STOPPED" || message["event"] == "RESUMED") {
      const std::lock_guard lock(mutex_);
      gate_closed_ = message["event"] == "STOPPED";
    }
    const std::lock_guard lock(listening_);
    if (listener_) listener_(message);
    return;
  }
  const auto id = message.find("id");
  if (id == message.end() || !id->is_number_unsigned()) return;
  const std::lock_guard lock(mutex_);
  const u64 number = id->get<u64>();
  if (waiting_.contains(number)) replies_[number] = std::move(message);
  changed_.notify_all();
}

void VmConnection::lose(const std::string& reason, const std::string& console)
{
  const std::lock_guard lock(mutex_);
  if (!lost_)
    lost_.emplace(Exit::target_lost, "using the VM '" + info_.name + "'", "it is lost: " + reason,
                  console.empty() ? "" : "the console's last lines:\n" + console);
  changed_.notify_all();
}

Json VmConnection::request(const std::string& command, const Json& arguments, Milliseconds limit)
{
  return wait_for(send(command, arguments), command, limit, Duration::bounded);
}

Json VmConnection::run(const Json& arguments, const std::stop_token& told, Milliseconds silence)
{
  const u64 id = send("run", arguments);
  const std::stop_callback end(told, [&] { write({{"execute", "end-run"}, {"arguments", {{"request", id}}}}); });
  return wait_for(id, "run", silence, Duration::of_a_program);
}

void VmConnection::give_up()
{
  lose("nobody waits for it any more", "");
  shutdown(socket_.get(), SHUT_WR);
}

void VmConnection::write(const Json& message)
{
  const std::lock_guard writing(writing_);
  write_all(socket_.get(), encode(message));
}

u64 VmConnection::send(const std::string& command, const Json& arguments)
{
  u64 id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (lost_) throw Failure(*lost_);
    id = next_id_++;
    waiting_[id] = true;
  }
  write({{"execute", command}, {"arguments", arguments}, {"id", id}});
  return id;
}

bool VmConnection::answers_others(Milliseconds limit)
{
  try {
    request("echo", Json::object(), limit);
    return true;
  } catch (const Failure&) {
    return false;
  }
}

Json VmConnection::wait_for(u64 id, const std::string& command, Milliseconds limit, Duration duration)
{
  std::unique_lock lock(mutex_);
  const auto done = [&] { return replies_.contains(id) || lost_; };
  while (!changed_.wait_for(lock, limit, done)) {
    if (duration == Duration::bounded && !(gate_closed_ && reaches_points(command))) break;
    lock.unlock();
    const bool goes_on = answers_others(limit);
    lock.lock();
    if (!goes_on) break;
  }
  waiting_.erase(id);
  auto reply = replies_.extract(id);
  if (!reply.empty()) {
    if (reply.mapped().contains("return")) return reply.mapped()["return"];
    throw_error(command, object_at(reply.mapped(), "error"));
  }
  if (lost_) throw Failure(*lost_);
  throw Failure(Exit::target_lost, command + " in the VM '" + info_.name + "'",
                "the guest has not answered for " + std::to_string(limit.count() / 1000) + " s",
                "the console's last lines:\n" + tail_of(info_.console, 15));
}

void VmConnection::throw_error(const std::string& command, const Json& error) const
{
  const std::string name = text_at(error, "class"), text = text_at(error, "desc");
  if (name == "Failure") throw failure_from_json(error);
  throw Failure(exit_of(name), command + " in the VM '" + info_.name + "'", printable(text + " (" + name + ")"));
}

void VmConnection::listen(std::function<void(const Json& event)> listener)
{
  const std::lock_guard lock(listening_);
  listener_ = std::move(listener);
}

std::optional<Failure> VmConnection::lost() const
{
  const std::lock_guard lock(mutex_);
  return lost_;
}

bool VmConnection::wait_for_end(Milliseconds limit)
{
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [&] { return ended_; });
}

}  // namespace morsel::testvm
