/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests that run in a thread of their own, for tests of what happens meanwhile. */
#ifndef MORSEL_KMOD_TESTS_SPINNER_H
#define MORSEL_KMOD_TESTS_SPINNER_H

#include <pthread.h>
#include <sched.h>

#include "kmod/tests/guest.h"

struct spinner {
	pthread_t thread;
	int vcpu;
	struct morsel_vcpu_run request;
	int status;
};
void start_spinner(struct spinner *spinner, int vcpu, uint64_t offset, uint64_t expected);
void start_code(struct spinner *spinner, int vcpu, const void *code, size_t bytes, uint64_t offset,
		uint64_t expected);
/*
 * A guest that is in guest mode on this CPU by now, and waits for `expected` in the first word of the object, which it
 * has told by its second word (`words`). The caller goes back to all CPUs.
 */
void start_waiting_on(int cpu, struct spinner *spinner, int vcpu, volatile uint64_t *words, uint64_t expected);
unsigned end_of(struct spinner *spinner);	/* waits; enum morsel_vcpu_result */
void join_spinner(struct spinner *spinner);	/* it ends well */
void pin_thread(pthread_t thread, int cpu);

#define INCREMENTED_PAGES 16
/* Counts up the first words of pages by chance, by compare-exchange. */
struct incrementer {
	pthread_t thread;
	int vcpu;
	unsigned seed;
	uint64_t done[INCREMENTED_PAGES];	/* by page */
};
void start_incrementer(struct incrementer *incrementer);
void join_incrementer(struct incrementer *incrementer);

#endif /* MORSEL_KMOD_TESTS_SPINNER_H */
