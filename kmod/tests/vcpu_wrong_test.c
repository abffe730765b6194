// SPDX-License-Identifier: GPL-2.0-or-later
/* Guests that go wrong: what they do, they do to themselves. */
#define _GNU_SOURCE
#include "kmod/tests/guest.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static void a_guest_that_goes_wrong_ends_its_run_only(void)
{
	static const unsigned char own_tables[] = {
		0x48, 0xbb, 0x00, 0x20, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00,	/* mov $MORSEL_VCPU_TABLES, %rbx */
		0x48, 0xc7, 0x03, 0, 0, 0, 0,					/* movq $0, (%rbx): its first entry */
		0x31, 0xc9, 0x0f, 0x01, 0x39,					/* xor %ecx, %ecx; invlpg (%rcx) */
		0x48, 0x8b, 0x01,						/* mov (%rcx), %rax */
	};
	static const unsigned char undefined[] = { 0x0f, 0x0b }, halt[] = { 0xf4 }, out[] = { 0xe6, 0x80 };
	static const unsigned char msr[] = { 0xb9, 0x80, 0, 0, 0xc0, 0x0f, 0x32 };	/* rdmsr of EFER */
	static const unsigned char cr0[] = { 0x0f, 0x06 };			/* clts */
	static const unsigned char debug[] = { 0x0f, 0x23, 0xc0 };		/* mov %rax, %dr0 */
	static const unsigned char sse[] = { 0x0f, 0x57, 0xc0 }, x87[] = { 0xd9, 0xe8 };
	static const unsigned char vmrun[] = { 0x0f, 0x01, 0xd8 }, vmlaunch[] = { 0x0f, 0x01, 0xc2 };
	const unsigned char *own_guest = hardware()->walker == MORSEL_WALKER_VMX ? vmlaunch : vmrun;
	const struct { const unsigned char *code; size_t bytes; unsigned result, detail; } cases[] = {
		{ own_tables, sizeof(own_tables), MORSEL_VCPU_EXCEPTION, 14 },
		{ undefined, sizeof(undefined), MORSEL_VCPU_EXCEPTION, 6 },
		{ sse, sizeof(sse), MORSEL_VCPU_EXCEPTION, 6 },
		{ x87, sizeof(x87), MORSEL_VCPU_EXCEPTION, 7 },
		{ halt, sizeof(halt), MORSEL_VCPU_FORBIDDEN, 0 },
		{ out, sizeof(out), MORSEL_VCPU_FORBIDDEN, 0 },
		{ msr, sizeof(msr), MORSEL_VCPU_FORBIDDEN, 0 },
		{ cr0, sizeof(cr0), MORSEL_VCPU_FORBIDDEN, 0 },
		{ debug, sizeof(debug), MORSEL_VCPU_FORBIDDEN, 0 },
		{ own_guest, sizeof(vmrun), MORSEL_VCPU_FORBIDDEN, 0 },
	};
	int fd = open_object("guest-wrong", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd));
	size_t i;

	guest_write(vcpu, 0, 5);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct code code = ended(cases[i].code, cases[i].bytes);
		struct morsel_vcpu_run request = program_of(&code, 0);

		if (run(vcpu, &request) != cases[i].result)
			printf("# case %zu: result %u exit %#llx\n", i, request.result, request.exit_code);
		CHECK_EQ(request.result, cases[i].result);
		if (cases[i].result == MORSEL_VCPU_EXCEPTION)
			CHECK_EQ(request.exit_code, cases[i].detail);
		CHECK_EQ(guest_read(vcpu, 0), 5);	/* the next run is a new guest */
	}
}

/*
 * A guest that takes its own page away, and with it any place where the fault could be handled: as on a CPU without an
 * IDT, a triple fault. Each exception ends the run, so the first one does.
 */
static void a_triple_fault_ends_its_run_at_the_first_fault(void)
{
	static const unsigned char take_itself_away[] = {
		0x48, 0xbe, 0x08, 0x20, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00,	/* mov $PML4 + 8, %rsi */
		0x48, 0xbb, 0x00, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00,	/* mov $code, %rbx */
		0x48, 0xc7, 0x06, 0x00, 0x00, 0x00, 0x00,			/* movq $0, (%rsi) */
		0x0f, 0x01, 0x3b,						/* invlpg (%rbx) */
	};
	const struct code code = ended(take_itself_away, sizeof(take_itself_away));
	int fd = open_object("guest-triple", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd)), i;

	for (i = 0; i < 3; i++) {
		struct morsel_vcpu_run request = program_of(&code, 0);

		CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_EXCEPTION);
		CHECK_EQ(request.exit_code, 14);
		CHECK_EQ(request.instruction_pointer, MORSEL_VCPU_CODE + sizeof(take_itself_away));
		CHECK_EQ(request.violation, request.instruction_pointer);
		CHECK_EQ(request.access & MORSEL_EXEC, MORSEL_EXEC);
		guest_write(vcpu, 0, 5 + i);	/* the next run is a new guest */
		CHECK_EQ(guest_read(vcpu, 0), 5 + i);
	}
}

/* Whatever the guest does, it does to itself and to the object. The seed is printed and may be given. */
static void random_code_harms_nobody(void)
{
	const char *given = getenv("MORSEL_SEED");
	const unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : 20261120;
	int fd = open_object("guest-random", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd)), i;
	unsigned seen[MORSEL_VCPU_TIMEOUT + 1] = {};
	unsigned char code[64];
	size_t k;

	dprintf(1, "# MORSEL_SEED=%u\n", seed);
	srandom(seed);
	for (i = 0; i < 2000; i++) {
		struct morsel_vcpu_run request = program(MORSEL_VCPU_RUN_CODE, 0);

		for (k = 0; k < sizeof(code); k++)
			code[k] = (unsigned char)random();
		request.code = (uintptr_t)code;
		request.code_bytes = sizeof(code);
		request.timeout_ms = 10;
		seen[run(vcpu, &request)]++;
	}
	CHECK(seen[MORSEL_VCPU_EXCEPTION] > 0);
	CHECK(seen[MORSEL_VCPU_FORBIDDEN] > 0);
	CHECK(seen[MORSEL_VCPU_OUTSIDE] > 0);
	guest_write(vcpu, 0, 5);
	CHECK_EQ(guest_read(vcpu, 0), 5);
}

/* The guest's own page faults are told as a process's: right, reason, address. */
static void a_page_fault_of_the_guest_is_explained(void)
{
	/* mov $MORSEL_VCPU_TABLES, %rsi; andb $~4, (%rsi): its first entry is the kernel's; mov (%rbx), %rax */
	static const unsigned char take_away[] = {
		0x48, 0xbe, 0x00, 0x20, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x80, 0x26, 0xfb, 0x48, 0x8b, 0x03,
	};
	const struct code code = ended(take_away, sizeof(take_away));
	int fd = open_object("guest-fault", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd));
	struct morsel_vcpu_run request = program_of(&code, PAGE);

	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	request.offset = PAGE;
	request.flags |= MORSEL_VCPU_USER;
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_EXCEPTION);
	CHECK_EQ(request.exit_code, 14);
	CHECK_EQ(request.violation, PAGE);
	CHECK_EQ(request.access, MORSEL_READ | MORSEL_VCPU_PRESENT);
}

static volatile sig_atomic_t interrupted;

static void on_alarm(int number)
{
	(void)number;
	interrupted = 1;
}

static void an_endless_guest_is_ended(void)
{
	static const unsigned char loop[] = { 0xeb, 0xfe };
	const struct sigaction action = { .sa_handler = on_alarm };
	int fd = open_object("guest-endless", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd));
	struct morsel_vcpu_run request = program(MORSEL_VCPU_RUN_CODE, 0);
	int ready[2], pid;
	char byte;

	request.code = (uintptr_t)loop;
	request.code_bytes = sizeof(loop);
	request.timeout_ms = 50;
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_TIMEOUT);
	CHECK(request.interrupts > 0);
	CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
	ualarm(50000, 0);
	request.timeout_ms = 0;
	CHECK_ERRNO(ioctl(vcpu, MORSEL_IOC_VCPU_RUN, &request), EINTR);
	CHECK_EQ(interrupted, 1);
	CHECK_EQ(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		CHECK_EQ(write(ready[1], "x", 1), 1);
		ioctl(vcpu, MORSEL_IOC_VCPU_RUN, &request);
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(exit_status_of(pid), -SIGKILL);
	CHECK_EQ(guest_read(vcpu, 0), 0);	/* and the vCPU can be used by others */
}

/*
 * A guest that maps the object's second GiB where its first one is, and reads there: the next program's tables are
 * others, and so must be what the CPU has cached of them.
 */
static void a_guest_forgets_the_tables_that_another_program_had(void)
{
	static const unsigned char code[] = {
		0x48, 0xc7, 0xc0, 0xe7, 0x00, 0x00, 0x40,	/* mov $0x400000e7, %rax: a leaf of the second GiB */
		0x48, 0x89, 0x01,				/* mov %rax, (%rcx): in the table of the object */
		0x48, 0x8b, 0x03,				/* mov (%rbx), %rax */
	};
	const struct code remap = ended(code, sizeof(code));
	int fd = open_object("guest-remapped", GIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd));
	volatile uint64_t *words = (volatile uint64_t *)map(fd, GIB(2), PROT_READ | PROT_WRITE);
	struct morsel_vcpu_run request = program_of(&remap, PAGE);

	words[PAGE / 8] = 1;
	words[(GIB(1) + PAGE) / 8] = 2;
	request.expected = MORSEL_VCPU_TABLES + PAGE;
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	CHECK_EQ(request.value, 2);
	CHECK_EQ(guest_read(vcpu, PAGE), 1);
}

const struct test vcpu_wrong_tests[] = {
	{ "a_guest_that_goes_wrong_ends_its_run_only", a_guest_that_goes_wrong_ends_its_run_only },
	{ "a_triple_fault_ends_its_run_at_the_first_fault", a_triple_fault_ends_its_run_at_the_first_fault },
	{ "a_page_fault_of_the_guest_is_explained", a_page_fault_of_the_guest_is_explained },
	{ "random_code_harms_nobody", random_code_harms_nobody },
	{ "an_endless_guest_is_ended", an_endless_guest_is_ended },
	{ "a_guest_forgets_the_tables_that_another_program_had",
	  a_guest_forgets_the_tables_that_another_program_had },
	{ NULL, NULL },
};
