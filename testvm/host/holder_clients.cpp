// SPDX-License-Identifier: GPL-2.0-or-later
//
// The holder's clients: who they are, what they ask, how replies find back.
#include <libvirt/libvirt.h>
#include <sys/socket.h>

#include "testvm/host/holder_vm.hpp"

namespace morsel::testvm {

using session::Exit;
using session::Failure;

namespace {

constexpr u32 max_open_requests = 64;

}  // namespace

void HolderVm::watch_door()
{
  door_ = listen_unix(paths_.socket);
  set_nonblocking(door_.get());
  door_watch_ = EventLoop::Watch(door_.get(), VIR_EVENT_HANDLE_READABLE, [this](int) {
    UniqueFd fd(accept4(door_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) return;
    Client& client = add_client(std::move(fd));
    if (state_ == State::ready) welcome(client);
  });
}

HolderVm::Client& HolderVm::add_client(UniqueFd fd)
{
  const u64 number = next_client_++;
  Client& client = clients_.emplace_back();
  client.number = number;
  client.socket = std::make_unique<LineSocket>(
      std::move(fd),
      LineSocket::Handlers{
          .line = [this, number](const std::string& line) { receive(number, line); },
          .too_long =
              [this, number] {
                answer(number, {{"error", {{"class", "EMSGSIZE"}, {"desc", "a line is at most 1 MiB"}}}}, {});
              },
          .end = [this, number] { client_ended(number); }});
  return client;
}

HolderVm::Client* HolderVm::find_client(u64 number)
{
  for (Client& client : clients_)
    if (client.number == number && !client.socket->ended()) return &client;
  return nullptr;
}

// Called from the client's own socket, which therefore is removed later.
void HolderVm::client_ended(u64 number)
{
  sweep_ = EventLoop::Timer(Milliseconds(0), [this] { forget_ended_clients(); });
  kill_programs_of(number);
  open_gate_of(number);
  end_journal_of(number);
  const bool was_owner = !clients_.empty() && clients_.front().is_owner && clients_.front().number == number;
  // An owner that goes before the VM is ready has given it up, whatever lifetime it asked for.
  if (!was_owner || state_ == State::over || (state_ == State::ready && config_.lifetime == Lifetime::until_end))
    return;
  end_vm();
  finish(0);
}

// Nobody waits for them any more: they would stay, with all that they have mapped. Detached ones are meant to.
void HolderVm::kill_programs_of(u64 number)
{
  if (state_ != State::ready) return;
  for (const Client& client : clients_)
    if (client.number == number)
      for (const auto& [tag, asked] : client.runs) agent_->request("kill", {{"tag", tag}}, [](const Json&) {});
}

void HolderVm::end_run(const Client& client, const Json& asked)
{
  for (const auto& [tag, id] : client.runs)
    if (id == asked) agent_->request("kill", {{"tag", tag}}, [](const Json&) {});
}

// Nobody steps any more: what waits at the gate goes on.
void HolderVm::open_gate_of(u64 number)
{
  if (state_ == State::ready && gate_client_ == number) open_gate([](const Json&) {});
}

void HolderVm::open_gate(AgentLink::ReplyHandler then)
{
  gate_client_ = 0;
  ++gate_runs_;
  agent_->request("gate-run", Json::object(), [this, then = std::move(then)](const Json& reply) {
    --gate_runs_;
    then(reply);
  });
}

void HolderVm::end_journal_of(u64 number)
{
  if (state_ != State::ready || journal_client_ != number) return;
  journal_client_ = 0;
  agent_->request("journal", {{"on", false}}, [](const Json&) {});
}

void HolderVm::forget_ended_clients()
{
  clients_.remove_if([](const Client& client) { return client.socket->ended(); });
}

void HolderVm::welcome(Client& client)
{
  client.socket->send(encode({{"morsel", greeting_}, {"vm", to_json(info_)}}));
}

void HolderVm::tell_all(const Json& message)
{
  const std::string line = encode(message);
  for (Client& client : clients_) client.socket->send(line);
}

void HolderVm::answer(u64 number, Json reply, const Json& id)
{
  Client* client = find_client(number);
  if (!client) return;
  if (!id.is_null()) reply["id"] = id;
  client->socket->send(encode(reply));
}

void HolderVm::receive(u64 number, const std::string& line)
{
  Json id;
  try {
    const Json message = parse_message(line);
    if (message.contains("id") && (message["id"].is_number() || message["id"].is_string())) id = message["id"];
    if (!message.contains("execute") || !message["execute"].is_string()) throw BadMessage("'execute' is missing");
    execute(number, message);
  } catch (const BadMessage& error) {
    answer(number, {{"error", {{"class", "EBADMSG"}, {"desc", error.what()}}}}, id);
  }
}

void HolderVm::execute(u64 number, const Json& message)
{
  const std::string command = message["execute"].get<std::string>();
  Json arguments = object_at(message, "arguments");
  const Json id = message.contains("id") ? message["id"] : Json();
  if (command == "vm-end") {
    end_vm();
    answer(number, {{"return", Json::object()}}, id);
    if (state_ == State::starting)
      return fail({Exit::target_lost, "starting the VM '" + config_.name + "'", "it was ended"});
    tell_all({{"event", "TARGET_LOST"}, {"data", {{"reason", "the VM was ended"}, {"console", ""}}}});
    return finish(0);
  }
  if (state_ == State::over) return;  // it was told why, and its connection ends
  if (state_ != State::ready)
    return answer(number, {{"error", {{"class", "EAGAIN"}, {"desc", "the VM is still starting"}}}}, id);
  Client* client = find_client(number);
  if (!client) return;
  if (command == "end-run") {
    end_run(*client, arguments.value("request", Json()));
    return answer(number, {{"return", Json::object()}}, id);
  }
  // A client that only asks must not keep the others from the agent. Who waits at the gate can always be let go on.
  const u32 open = command.starts_with("gate-") ? client->open_at_gate : client->open_requests;
  if (open >= max_open_requests)
    return answer(number, {{"error", {{"class", "EBUSY"}, {"desc", "you have too many requests waiting"}}}}, id);
  if (const auto failure = taken_by_another(number, command)) return answer(number, to_json(*failure), id);
  pass_on(*client, command, std::move(arguments), id);
}

// The gate and the journal are each one client's: of two, one would open and switch what the other one uses.
std::optional<Failure> HolderVm::taken_by_another(u64 number, const std::string& command) const
{
  const std::string tried = command + " in the VM '" + config_.name + "'";
  if (command.starts_with("gate-") && command != "gate-actors" && gate_client_ != 0 && gate_client_ != number)
    return Failure(Exit::usage, tried, "another client of this VM has closed the gate",
                   "Step there (--session NAME, if it is a session), or let it 'run' or end.");
  if (command == "journal" && journal_client_ != 0 && journal_client_ != number)
    return Failure(Exit::usage, tried, "another client of this VM records its journal",
                   "Look there (--session NAME, if it is a session), or let it end by 'journal off'.");
  return {};
}

void HolderVm::pass_on(Client& client, const std::string& command, Json arguments, const Json& id)
{
  const u64 number = client.number;
  const auto open = command.starts_with("gate-") ? &Client::open_at_gate : &Client::open_requests;
  ++(client.*open);
  std::optional<u64> tag;
  if (command == "run" || command == "gate-until") arguments["client"] = number;
  if (command == "run" && arguments.value("detach", Json()) != true) {
    tag = next_tag_++;
    arguments["tag"] = *tag;
    client.runs[*tag] = id;
  }
  const auto reply_to = [this, number, id, tag, open](const Json& reply) {
    if (Client* asker = find_client(number)) {
      --(asker->*open);
      if (tag) asker->runs.erase(*tag);
    }
    answer(number, reply, id);
  };
  if (command == "gate-run") return open_gate(reply_to);
  u64* owner = nullptr;
  if (command == "gate-stop" || command == "gate-until") owner = &gate_client_;
  if (command == "journal") owner = &journal_client_;
  const bool taken_now = owner && *owner == 0;
  if (owner) *owner = command == "journal" && arguments.value("on", Json()) != true ? 0 : number;
  agent_->request(command, arguments, [owner, taken_now, number, reply_to](const Json& reply) {
    // What failed has taken nothing; a gate that closes late is closed all the same.
    const bool failed = reply.contains("error") && text_at(object_at(reply, "error"), "class") != "ETIMEDOUT";
    if (failed && taken_now && *owner == number) *owner = 0;
    reply_to(reply);
  });
}

}  // namespace morsel::testvm
