// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of all requests, and their arguments. */
#define _GNU_SOURCE
#include "kmod/tests/requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGES (OBJECT_BYTES / PAGE)
#define LARGE_PAGES (OBJECT_BYTES / MIB(2))
#define MAX_LEASE_MS 100		/* what waits behind the closed gate goes on soon */

const struct request requests[] = {
#define ROW(name, structure, target, reserved) { #name, MORSEL_IOC_##name, MORSEL_OF_##target, reserved },
	MORSEL_REQUESTS(ROW)
#undef ROW
};
unsigned neighbour;
const unsigned request_count = sizeof(requests) / sizeof(requests[0]);

/* What the module may write to, as often as it likes; behind it is a page that cannot be written. */
#define BUFFER_BYTES MIB(1)
static char *buffer;
static const size_t pointers_of_harvest[] = { offsetof(struct morsel_harvest, accessed),
					      offsetof(struct morsel_harvest, dirty) };
static const size_t pointers_of_ranges[] = { offsetof(struct morsel_ranges, runs) };
static const size_t pointers_of_list[] = { offsetof(struct morsel_list, names) };
static const size_t pointers_of_journal[] = { offsetof(struct morsel_journal_switch, rings) };
static const size_t pointers_of_actors[] = { offsetof(struct morsel_gate_actors, actors) };
static const size_t pointers_of_run[] = { offsetof(struct morsel_vcpu_run, code) };
static const struct {
	unsigned long number;
	const size_t *offsets;
	size_t count;
} pointers[] = {
	{ MORSEL_IOC_HARVEST, pointers_of_harvest, 2 }, { MORSEL_IOC_RANGES, pointers_of_ranges, 1 },
	{ MORSEL_IOC_LIST, pointers_of_list, 1 },	{ MORSEL_IOC_JOURNAL, pointers_of_journal, 1 },
	{ MORSEL_IOC_GATE_ACTORS, pointers_of_actors, 1 }, { MORSEL_IOC_VCPU_RUN, pointers_of_run, 1 },
};

unsigned pick(unsigned count)
{
	return (unsigned)random() % count;
}

static void valid_range(unsigned long number, struct morsel_range *range)
{
	const int sets_rights = number == MORSEL_IOC_POPULATE || number == MORSEL_IOC_PROTECT;

	range->leaf_level = number == MORSEL_IOC_MERGE ? 1 : number == MORSEL_IOC_POPULATE ? pick(2) : 0;
	if (range->leaf_level) {
		range->start = pick(LARGE_PAGES) * MIB(2);
		range->end = range->start + MIB(2);
	} else {
		range->start = pick(PAGES - 32) * PAGE;
		range->end = range->start + (1 + pick(32)) * PAGE;
	}
	range->rights = sets_rights ? MORSEL_READ | (pick(4) ? MORSEL_WRITE : 0) : 0;
}

static void valid_rule(struct morsel_inject *rule)
{
	static const unsigned spoilt[] = { MORSEL_POINT_publish, MORSEL_POINT_flush };
	const unsigned action = pick(2) ? MORSEL_FAULT_DROP : MORSEL_FAULT_FAIL;

	rule->point = action == MORSEL_FAULT_DROP ? spoilt[pick(2)] : MORSEL_POINT_alloc;
	rule->action = action;
	rule->view = pick(2) ? 0xffffffffu : pick(MORSEL_MAX_VIEWS);
	rule->nth = 1 + pick(4);
	rule->times = 1 + pick(4);
	rule->interval = 1;
	rule->probability = 100;
}

static void valid_access(struct morsel_access *access)
{
	access->view = pick(3);
	access->offset = pick(PAGES) * PAGE;
	access->rights = 1u << pick(3);
	access->flags = pick(4);
}

static void valid_run(struct morsel_vcpu_run *run)
{
	static const unsigned char halt[] = { 0x0f, 0x01, 0xd9, 0x0f, 0x01, 0xc1, 0xf4 };

	run->program = MORSEL_VCPU_READ + pick(MORSEL_VCPU_RUN_CODE);
	run->offset = pick(PAGES) * PAGE;
	run->flags = pick(16);
	run->timeout_ms = 1 + pick(3);
	if (run->program != MORSEL_VCPU_RUN_CODE)
		return;
	memcpy(buffer, halt, sizeof(halt));
	run->code = (uintptr_t)buffer;
	run->code_bytes = sizeof(halt);
}

static void valid_dma(struct morsel_dma *dma)
{
	dma->operation = pick(2) ? MORSEL_READ : MORSEL_WRITE;
	dma->offset = pick(PAGES) * PAGE;
	dma->bytes = sizeof(uint64_t);
	dma->flags = pick(8);
}

static void valid_create(struct morsel_create *create)
{
	create->root_level = pick(3);
	create->bytes = create->root_level ? OBJECT_BYTES : MIB(2);
	snprintf(create->name, sizeof(create->name), "random-%u", pick(4));
}

static void valid_until(struct morsel_gate_until *until)
{
	until->point = pick(MORSEL_POINT_COUNT);
	until->view = 0xffffffffu;
	until->nth = 1 + pick(9);
}

static void valid_journal(struct morsel_journal_switch *journal)
{
	journal->on = pick(2);
	journal->capacity_lg2 = journal->on ? 6 + pick(3) : 0;
	journal->rings = (uintptr_t)buffer;
	journal->room = MORSEL_JOURNAL_ROOM;
}

static void valid_harvest(struct morsel_harvest *harvest)
{
	harvest->start = pick(PAGES / 2) * PAGE;
	harvest->end = OBJECT_BYTES;
	harvest->accessed = harvest->dirty = (uintptr_t)buffer;
}

static void valid_ranges(struct morsel_ranges *ranges)
{
	ranges->kind = pick(2);
	ranges->end = OBJECT_BYTES;
	ranges->runs = (uintptr_t)buffer;
	ranges->room = 1 + pick(100);
}

static void valid_list(struct morsel_list *list)
{
	list->names = (uintptr_t)buffer;
	list->names_bytes = pick(200);
}

static void valid_actors(struct morsel_gate_actors *actors)
{
	actors->actors = (uintptr_t)buffer;
	actors->room = pick(8);
}

/* Those that hardware walks more often than the others. */
static void valid_view(struct morsel_view_add *view)
{
	static const unsigned walked[] = { MORSEL_FORMAT_NPT, MORSEL_FORMAT_EPT, MORSEL_FORMAT_VTD_SECOND_STAGE };

	view->format = pick(2) ? walked[pick(3)] : MORSEL_FORMAT_AMD64 + pick(MORSEL_FORMAT_LAST);
}

static void valid_attachment(unsigned long number, struct morsel_device_attach *attachment)
{
	attachment->view = number == MORSEL_IOC_DEVICE ? 1 + pick(2) : 0;
	attachment->format = number == MORSEL_IOC_DEVICE ? 0 : MORSEL_FORMAT_VTD_SECOND_STAGE;
	attachment->kind = MORSEL_DEVICE_EDU;
	attachment->device = MORSEL_DEVICE_ANY;
}

/* Fields beside the size; what stays zero is taken as zero. */
static void fill_in(unsigned long number, void *argument)
{
	switch (number) {
	case MORSEL_IOC_CREATE:
		return valid_create(argument);
	case MORSEL_IOC_INJECT_ADD:
		return valid_rule(argument);
	case MORSEL_IOC_INJECT_LIST:
		((struct morsel_inject *)argument)->rule = 1;
		return;
	case MORSEL_IOC_LIST:
		return valid_list(argument);
	case MORSEL_IOC_JOURNAL:
		return valid_journal(argument);
	case MORSEL_IOC_GATE:
		((struct morsel_gate *)argument)->lease_ms = MAX_LEASE_MS;
		return;
	case MORSEL_IOC_GATE_STEP:
		((struct morsel_gate_step *)argument)->actor = neighbour;
		return;
	case MORSEL_IOC_GATE_UNTIL:
		return valid_until(argument);
	case MORSEL_IOC_GATE_ACTORS:
		return valid_actors(argument);
	case MORSEL_IOC_POPULATE:
	case MORSEL_IOC_UNMAP:
	case MORSEL_IOC_PROTECT:
	case MORSEL_IOC_SPLIT:
	case MORSEL_IOC_MERGE:
	case MORSEL_IOC_MIGRATE:
		return valid_range(number, argument);
	case MORSEL_IOC_HARVEST:
		return valid_harvest(argument);
	case MORSEL_IOC_RANGES:
		return valid_ranges(argument);
	case MORSEL_IOC_VIEW_ADD:
		return valid_view(argument);
	case MORSEL_IOC_VIEW_DROP:
	case MORSEL_IOC_MAP_VIEW:
		((struct morsel_view_drop *)argument)->view = 1 + pick(2);
		return;
	case MORSEL_IOC_ACCESS:
		return valid_access(argument);
	case MORSEL_IOC_VCPU:
		((struct morsel_vcpu_create *)argument)->view = pick(3);
		return;
	case MORSEL_IOC_VCPU_LAB:
		((struct morsel_vcpu_create *)argument)->format = MORSEL_FORMAT_NPT + pick(2);
		return;
	case MORSEL_IOC_VCPU_RUN:
		return valid_run(argument);
	case MORSEL_IOC_DEVICE:
	case MORSEL_IOC_DEVICE_LAB:
		return valid_attachment(number, argument);
	case MORSEL_IOC_DMA:
		return valid_dma(argument);
	case MORSEL_IOC_DEVICE_INVALIDATE:
		((struct morsel_device_invalidate *)argument)->offset = pick(PAGES) * PAGE;
		return;
	}
}

static void make_buffer(void)
{
	buffer = mmap(NULL, BUFFER_BYTES + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(buffer != MAP_FAILED);
	CHECK_EQ(mprotect(buffer + BUFFER_BYTES, PAGE, PROT_NONE), 0);
}

void make_valid(const struct request *request, void *argument)
{
	if (!buffer)
		make_buffer();
	memset(argument, 0, ARGUMENT_BYTES);
	*(uint32_t *)argument = _IOC_SIZE(request->number);
	fill_in(request->number, argument);
}

static uint64_t odd_word(void)
{
	static const uint64_t words[] = {
		0, 1, 8, PAGE, PAGE - 1, MIB(2), OBJECT_BYTES - PAGE, OBJECT_BYTES, GIB(512) - PAGE, GIB(512),
		1ull << 32, 1ull << 63, ~0ull, ~0xfffull, 0x7fffffffffffffffull, MORSEL_VCPU_TABLES,
	};

	return pick(4) ? words[pick(sizeof(words) / sizeof(words[0]))] : (uint64_t)random() << 32 ^ (uint64_t)random();
}

static uint64_t odd_pointer(void)
{
	const uint64_t places[] = {
		0, 8, ~7ull, 0xffff888000000000ull, (uintptr_t)buffer, (uintptr_t)buffer + BUFFER_BYTES - 4,
	};

	return places[pick(sizeof(places) / sizeof(places[0]))];
}

static void spoil_pointers(unsigned long number, char *argument)
{
	size_t i, k;

	for (i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++)
		for (k = 0; pointers[i].number == number && k < pointers[i].count; k++) {
			uint64_t *pointer = (uint64_t *)(argument + pointers[i].offsets[k]);

			*pointer = pick(4) ? (uintptr_t)buffer : odd_pointer();
		}
}

/* What would end the test: a machine that is reset, a gate that is closed for minutes, a page that is written here. */
static void tame(unsigned long number, void *argument)
{
	struct morsel_inject *rule = argument;
	struct morsel_gate *gate = argument;
	struct morsel_vcpu_run *run = argument;

	if (number == MORSEL_IOC_INJECT_ADD && rule->action == MORSEL_FAULT_CRASH)
		rule->action = MORSEL_FAULT_CRASH + 1;
	else if (number == MORSEL_IOC_GATE && gate->lease_ms > MAX_LEASE_MS && gate->lease_ms <= 600000)
		gate->lease_ms = MAX_LEASE_MS;
	else if (number == MORSEL_IOC_VCPU_RUN && (!run->timeout_ms || run->timeout_ms > 5))
		run->timeout_ms = 5;
}

void spoil(const struct request *request, void *argument)
{
	static const uint32_t sizes[] = { 0, 1, 8, 16, 96, 600, 4096, 4097, ~0u };
	const unsigned bytes = _IOC_SIZE(request->number), words = bytes / 4;
	uint32_t *at = argument;
	unsigned left;

	for (left = words > 1 ? pick(4) : 0; left; left--) {
		const unsigned word = 1 + pick(words - 1);

		if (word % 2 || word + 1 == words) {
			at[word] = pick(2) ? pick(8) : (uint32_t)odd_word();
		} else {
			const uint64_t both = odd_word();

			memcpy(at + word, &both, sizeof(both));
		}
	}
	spoil_pointers(request->number, argument);
	tame(request->number, argument);
	if (!pick(16))
		at[0] = sizes[pick(sizeof(sizes) / sizeof(sizes[0]))];
	if (!pick(32))
		at[words + pick(8)] = 1;	/* of a later version */
}
