/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All requests (engine/abi/morsel_requests.h) as a table, with an argument of each that is taken, and changed ones. */
#ifndef MORSEL_KMOD_TESTS_REQUESTS_H
#define MORSEL_KMOD_TESTS_REQUESTS_H

#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"
#include "engine/abi/morsel_requests.h"
#include "kmod/tests/check.h"

struct request {
	const char *name;
	unsigned long number;
	enum morsel_request_target target;
	unsigned reserved;		/* where its reserved field stands; MORSEL_NO_FIELD */
};
extern const struct request requests[];
extern const unsigned request_count;

#define ARGUMENT_BYTES KIB(8)		/* room for more than any structure */
#define OBJECT_BYTES MIB(8)		/* of the objects that arguments are made for */

/* An argument that is taken; chance, as random() has it, decides between several. */
void make_valid(const struct request *request, void *argument);
/* Some words become others. None of its pointers then leads to this process's own memory, but to a buffer. */
void spoil(const struct request *request, void *argument);

unsigned pick(unsigned count);

/* Who may wait at the gate, for GATE_STEP; 0: nobody. */
extern unsigned neighbour;

#endif /* MORSEL_KMOD_TESTS_REQUESTS_H */
