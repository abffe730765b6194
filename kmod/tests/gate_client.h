/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests of who controls the gate. */
#ifndef MORSEL_KMOD_TESTS_GATE_CLIENT_H
#define MORSEL_KMOD_TESTS_GATE_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "engine/abi/morsel_ioctl.h"

int gate_take(int device, unsigned lease_ms);
int gate_new(unsigned lease_ms);
int gate_stop(int gate);
int gate_step(int gate, unsigned actor);
struct morsel_gate_actors gate_list(int gate, struct morsel_gate_actor *actors, size_t room);
/* Waits until the process waits at a point, after the one with this serial. Its id is 0 if it has ended meanwhile. */
struct morsel_gate_actor gate_wait_for(int gate, int pid, uint64_t after);
/* Opens the gate until the process has come to the point for the nth time. */
void gate_run_until(int gate, int pid, unsigned point, uint64_t nth);
/* Lets the process go on, step by step, until it is there. */
struct morsel_gate_actor gate_step_to(int gate, int pid, int (*there)(const struct morsel_gate_actor *actor));

#endif /* MORSEL_KMOD_TESTS_GATE_CLIENT_H */
