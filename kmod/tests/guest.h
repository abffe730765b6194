/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Short forms of the requests for virtual CPUs. */
#ifndef MORSEL_KMOD_TESTS_GUEST_H
#define MORSEL_KMOD_TESTS_GUEST_H

#include "engine/abi/morsel_vcpu.h"
#include "kmod/tests/check.h"

/* What runs guests on this machine, and the instruction by which their programs end. */
struct hardware {
	unsigned format;	/* of the views that it walks */
	unsigned walker;
	uint32_t ending;
};
const struct hardware *hardware(void);
/* A view that it walks. */
unsigned add_walked_view(int fd);

/* As the request answers. */
int create_vcpu(int fd, unsigned view, struct morsel_vcpu_create *request);
int new_vcpu(int fd, unsigned view);
/* A run of it that fills and populates, with a guard against a hang. */
struct morsel_vcpu_run program(unsigned which, uint64_t offset);
unsigned run(int vcpu, struct morsel_vcpu_run *request);	/* its result */
/* A program that does this and ends. */
struct code {
	unsigned char bytes[64];
	uint32_t size;
};
struct code ended(const void *code, size_t bytes);
struct morsel_vcpu_run program_of(const struct code *code, uint64_t rbx);
uint64_t guest_read(int vcpu, uint64_t offset);
void guest_write(int vcpu, uint64_t offset, uint64_t value);
/* Reads a page that its tree lacks, in a process, behind the closed gate: a vCPU waits there, then goes on. */
void expect_a_vcpu_at_the_gate(int vcpu);

#endif /* MORSEL_KMOD_TESTS_GUEST_H */
