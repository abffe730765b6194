// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include "kmod/tests/spinner.h"

#include <stdlib.h>
#include <sys/ioctl.h>

#define INCREMENTS 300

static void *spin(void *data)
{
	struct spinner *spinner = data;

	spinner->status = ioctl(spinner->vcpu, MORSEL_IOC_VCPU_RUN, &spinner->request);
	return NULL;
}

void start_spinner(struct spinner *spinner, int vcpu, uint64_t offset, uint64_t expected)
{
	spinner->vcpu = vcpu;
	spinner->request = program(MORSEL_VCPU_SPIN, offset);
	spinner->request.expected = expected;
	CHECK_EQ(pthread_create(&spinner->thread, NULL, spin, spinner), 0);
}

void start_code(struct spinner *spinner, int vcpu, const void *code, size_t bytes, uint64_t offset,
		uint64_t expected)
{
	spinner->vcpu = vcpu;
	spinner->request = program(MORSEL_VCPU_RUN_CODE, offset);
	spinner->request.code = (uintptr_t)code;
	spinner->request.code_bytes = (uint32_t)bytes;
	spinner->request.expected = expected;
	CHECK_EQ(pthread_create(&spinner->thread, NULL, spin, spinner), 0);
}

void start_waiting_on(int cpu, struct spinner *spinner, int vcpu, volatile uint64_t *words, uint64_t expected)
{
	static const unsigned char wait_for_rcx[] = {
		0x48, 0xc7, 0x43, 0x08, 1, 0, 0, 0,	/* movq $1, 8(%rbx) */
		0x48, 0x39, 0x0b, 0x75, 0xfb,		/* 1: cmp %rcx, (%rbx); jne 1b */
	};
	static struct code code;
	cpu_set_t all;

	code = ended(wait_for_rcx, sizeof(wait_for_rcx));
	words[1] = 0;
	CHECK_EQ(pthread_getaffinity_np(pthread_self(), sizeof(all), &all), 0);
	CHECK(CPU_COUNT(&all) > 1);	/* else nothing here would show anything */
	pin_thread(pthread_self(), cpu);	/* the thread that it starts stays there */
	start_code(spinner, vcpu, code.bytes, code.size, 0, expected);
	CHECK_EQ(pthread_setaffinity_np(pthread_self(), sizeof(all), &all), 0);
	while (!words[1])
		sched_yield();
}

unsigned end_of(struct spinner *spinner)
{
	CHECK_EQ(pthread_join(spinner->thread, NULL), 0);
	CHECK_EQ(spinner->status, 0);
	return spinner->request.result;
}

void join_spinner(struct spinner *spinner)
{
	CHECK_EQ(end_of(spinner), MORSEL_VCPU_DONE);
}

void pin_thread(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_EQ(pthread_setaffinity_np(thread, sizeof(set), &set), 0);
}

static void *increment(void *data)
{
	struct incrementer *self = data;
	int i;

	for (i = 0; i < INCREMENTS; i++) {
		const unsigned page = (unsigned)rand_r(&self->seed) % INCREMENTED_PAGES;
		struct morsel_vcpu_run request = program(MORSEL_VCPU_COMPARE_EXCHANGE, page * PAGE);
		uint64_t seen = guest_read(self->vcpu, page * PAGE);

		for (;;) {
			request.expected = seen;
			request.value = seen + 1;
			CHECK_EQ(run(self->vcpu, &request), MORSEL_VCPU_DONE);
			if (request.value == seen)
				break;
			seen = request.value;
		}
		self->done[page]++;
	}
	return NULL;
}

void start_incrementer(struct incrementer *incrementer)
{
	CHECK_EQ(pthread_create(&incrementer->thread, NULL, increment, incrementer), 0);
}

void join_incrementer(struct incrementer *incrementer)
{
	CHECK_EQ(pthread_join(incrementer->thread, NULL), 0);
}
