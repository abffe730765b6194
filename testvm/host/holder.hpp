// SPDX-License-Identifier: GPL-2.0-or-later
//
// The holder: the process that a running VM belongs to. It owns the machine (libvirt's connection and with it the
// domain, or Bochs), is the only one on the agent's channel, and is the door for commands, window and tests: a Unix
// socket, mode 0600, NAME.sock in the runtime folder, one JSON object per line.
//
//   holder → client  {"morsel":{the agent's greeting},"vm":{VmInfo}}      when the VM is ready
//                    {"error":{"class":"Failure",…}}                      instead, if it cannot be had
//   client → holder  {"execute":…,"arguments":{…},"id":…}                 passed on to the agent with a number of its
//   own
//                    (a program that a client waits for is killed when the client goes)
//                    {"execute":"end-run","arguments":{"request":ID}}     kills the program that a request `run` with
//                    that id waits for
//                    {"execute":"vm-end"}                                 ends the VM, answers when the machine has
//                    gone
//   holder → client  {"return":…,"id":…} | {"error":{"class":…,"desc":…},"id":…}
//                    {"event":…,"data":…}                                 the agent's, and
//                    {"event":"TARGET_LOST","data":{"reason":…,"console":…}}   the last words
//                    {"event":"AGENT_COMPLAINT","data":{"text":…}}        the guest sent what it should not
//
// Who closes the gate, or switches the journal on, has it until it opens it, or switches it off, or goes; meanwhile
// others are refused.
//
// A guardian process stands beside it, holds the VM's lock with it, and removes its files when it has gone, however it
// went. Whichever of the two is killed, the VM ends: the machine with the holder (the domain with its connection, Bochs
// as its child), the holder with the guardian.
#pragma once
#include "testvm/host/os.hpp"

namespace morsel::testvm {

// The process that start_holder() starts: reads the configuration as one line from `owner`, becomes guardian and
// holder, and answers on `owner` as to any client.
int run_holder(UniqueFd owner);

}  // namespace morsel::testvm
