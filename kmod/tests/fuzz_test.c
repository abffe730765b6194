// SPDX-License-Identifier: GPL-2.0-or-later
/* Every request of the interface, by one table: the rules that hold for all of them, and arguments by chance. */
#define _GNU_SOURCE
#include "kmod/tests/requests.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_ROUNDS 5000
#define SLOTS 3
#define NONE (-1)

static union {
	char bytes[ARGUMENT_BYTES];
	uint32_t size; /* every structure begins with it */
	struct morsel_create object;
	struct morsel_vcpu_create vcpu;
	struct morsel_device_attach device;
} argument;

/* A descriptor of each kind; NONE where this machine has no such hardware. */
struct descriptors {
	int of[MORSEL_OF_DEVICE + 1];
};

static int send(const struct descriptors *fds, const struct request *request)
{
	const int has_structure = _IOC_SIZE(request->number) != 0;

	return ioctl(fds->of[request->target], request->number, has_structure ? argument.bytes : NULL);
}

/* View 1 is there first, and 2 that an IOMMU can walk. The device is on a lab: there each request for one is taken. */
static struct descriptors open_all(void)
{
	struct morsel_vcpu_create vcpu = { .size = sizeof(vcpu) };
	struct morsel_device_attach device = {
		.size = sizeof(device), .format = MORSEL_FORMAT_VTD_SECOND_STAGE, .kind = MORSEL_DEVICE_EDU,
		.device = MORSEL_DEVICE_ANY,
	};
	struct descriptors fds = { { open_device(), open_object("all", OBJECT_BYTES), NONE, NONE } };
	const int object = fds.of[MORSEL_OF_OBJECT];

	CHECK_EQ(change(object, MORSEL_IOC_POPULATE, 0, MIB(4), MORSEL_READ | MORSEL_WRITE, 1, NULL), 0);
	CHECK_EQ(add_view(object, MORSEL_FORMAT_AMD64), 1);
	CHECK_EQ(add_view(object, MORSEL_FORMAT_VTD_SECOND_STAGE), 2);
	if (!ioctl(object, MORSEL_IOC_VCPU, &vcpu))
		fds.of[MORSEL_OF_VCPU] = vcpu.fd;
	if (!ioctl(fds.of[MORSEL_OF_MODULE], MORSEL_IOC_DEVICE_LAB, &device))
		fds.of[MORSEL_OF_DEVICE] = device.fd;
	return fds;
}

static void control_the_gate(const struct descriptors *fds)
{
	struct morsel_gate gate = { .size = sizeof(gate), .lease_ms = 600000 };

	CHECK_EQ(ioctl(fds->of[MORSEL_OF_MODULE], MORSEL_IOC_GATE, &gate), 0);
}

/* Says which request it was: the macros of the other tests know the line only. */
static void expect(const struct request *request, const char *what, int result, int error)
{
	if (error ? result == -1 && errno == error : result != -1 || errno != EINVAL)
		return;
	printf("# %s, %s: result %d, errno %d (%s)\n", request->name, what, result, errno, strerror(errno));
	CHECK(0);
}

static int can_be_sent(const struct descriptors *fds, const struct request *request)
{
	return fds->of[request->target] != NONE;
}

/* What a request that was taken has set going must not disturb the next ones. A rule stays for INJECT_LIST. */
static void clear_up(const struct descriptors *fds, const struct request *request)
{
	if (request->number != MORSEL_IOC_INJECT_ADD)
		CHECK_EQ(ioctl(fds->of[MORSEL_OF_MODULE], MORSEL_IOC_INJECT_CLEAR, 0), 0);
	CHECK_EQ(ioctl(fds->of[MORSEL_OF_MODULE], MORSEL_IOC_GATE_RUN, 0), 0);
}

/*
 * The same argument without the bit and with it, so that nothing else is to blame. Whether it was taken without, or
 * would have been: a merge is refused while a vCPU walks the primary.
 */
static int refuses_bit(const struct descriptors *fds, const struct request *request, size_t offset, unsigned bit)
{
	static char same[ARGUMENT_BYTES];
	int result, taken;

	make_valid(request, argument.bytes);
	memcpy(same, argument.bytes, sizeof(same));
	result = send(fds, request);
	taken = result != -1 || errno == EBUSY;
	expect(request, "as it should be", result, 0);
	memcpy(argument.bytes, same, sizeof(same));
	argument.bytes[offset + bit / 8] |= (char)(1u << bit % 8);
	expect(request, "with an unknown bit", send(fds, request), EINVAL);
	clear_up(fds, request);
	return taken;
}

/* All bits but those known. */
static void refuses_bits(const struct descriptors *fds, const struct request *request, size_t offset, uint32_t known)
{
	unsigned bit, taken = 0;

	for (bit = 0; bit < 32; bit++)
		if (!(known & 1u << bit))
			taken += refuses_bit(fds, request, offset, bit);
	if (!taken)
		printf("# %s is never taken\n", request->name);
	CHECK(taken);
}

static void reserved_fields_must_be_zero(void)
{
	const struct descriptors fds = open_all();
	unsigned seen = 0;
	size_t i;

	control_the_gate(&fds);
	for (i = 0; i < request_count; i++) {
		if (!requests[i].reserved || !can_be_sent(&fds, &requests[i]))
			continue;
		refuses_bits(&fds, &requests[i], requests[i].reserved, 0);
		seen++;
	}
	CHECK(seen >= 15);
}

static void unknown_flags_are_refused(void)
{
	static const struct {
		unsigned long number;
		size_t offset;
		uint32_t known;
	} flags[] = {
		{ MORSEL_IOC_ACCESS, offsetof(struct morsel_access, flags), 7 },
		{ MORSEL_IOC_ACCESS, offsetof(struct morsel_access, rights), 7 },
		{ MORSEL_IOC_POPULATE, offsetof(struct morsel_range, rights), 7 },
		{ MORSEL_IOC_PROTECT, offsetof(struct morsel_range, rights), 7 },
		{ MORSEL_IOC_RANGES, offsetof(struct morsel_ranges, kind), 1 },
		{ MORSEL_IOC_JOURNAL, offsetof(struct morsel_journal_switch, on), 1 },
		{ MORSEL_IOC_INJECT_ADD, offsetof(struct morsel_inject, action), 7 },
		{ MORSEL_IOC_VCPU_RUN, offsetof(struct morsel_vcpu_run, flags), 15 },
		{ MORSEL_IOC_DMA, offsetof(struct morsel_dma, flags), 7 },
		{ MORSEL_IOC_DEVICE_INVALIDATE, offsetof(struct morsel_device_invalidate, other_domain), 1 },
	};
	const struct descriptors fds = open_all();
	size_t i, k;

	control_the_gate(&fds);
	for (i = 0; i < request_count; i++)
		for (k = 0; k < sizeof(flags) / sizeof(flags[0]); k++)
			if (flags[k].number == requests[i].number && can_be_sent(&fds, &requests[i]))
				refuses_bits(&fds, &requests[i], flags[k].offset, flags[k].known);
}

static void structures_tell_their_size(void)
{
	const struct descriptors fds = open_all();
	size_t i;

	control_the_gate(&fds);
	for (i = 0; i < request_count; i++) {
		const struct request *request = &requests[i];
		const unsigned bytes = _IOC_SIZE(request->number);

		if (!bytes || !can_be_sent(&fds, request))
			continue;
		make_valid(request, argument.bytes);
		argument.size = bytes - 1;
		expect(request, "smaller", send(&fds, request), EINVAL);
		argument.size = PAGE + 1;
		expect(request, "larger than a page", send(&fds, request), E2BIG);
		argument.size = bytes + 8;
		argument.bytes[bytes + 7] = 1;
		expect(request, "with more than is known", send(&fds, request), E2BIG);
		expect(request, "no structure", ioctl(fds.of[request->target], request->number, NULL), EFAULT);
	}
}

static void requests_without_a_structure_take_zero(void)
{
	const struct descriptors fds = open_all();
	size_t i;

	control_the_gate(&fds);
	for (i = 0; i < request_count; i++)
		if (!_IOC_SIZE(requests[i].number))
			expect(&requests[i], "argument 1",
			       ioctl(fds.of[requests[i].target], requests[i].number, 1), EINVAL);
}

static int is_a_request(unsigned long number)
{
	size_t i;

	for (i = 0; i < request_count; i++)
		if (requests[i].number == number)
			return 1;
	return 0;
}

static void other_requests_are_unknown(void)
{
	const struct descriptors fds = open_all();
	unsigned target, number;
	size_t i;

	for (i = 0; i < request_count; i++)
		for (target = 0; target <= MORSEL_OF_DEVICE; target++) {
			if (target == requests[i].target || fds.of[target] == NONE)
				continue;
			make_valid(&requests[i], argument.bytes);
			expect(&requests[i], "of something else",
			       ioctl(fds.of[target], requests[i].number, argument.bytes), ENOTTY);
		}
	for (target = 0; target <= MORSEL_OF_DEVICE; target++)
		for (number = 0; number < 256 && fds.of[target] != NONE; number++) {
			const unsigned long bare = _IOC(_IOC_NONE, MORSEL_IOC_MAGIC, number, 0);
			const unsigned long sized = _IOC(_IOC_READ | _IOC_WRITE, MORSEL_IOC_MAGIC, number, 4);

			if (!is_a_request(bare))
				CHECK_ERRNO(ioctl(fds.of[target], bare, argument.bytes), ENOTTY);
			CHECK_ERRNO(ioctl(fds.of[target], sized, argument.bytes), ENOTTY);
		}
}

/* ---- by chance ---- */

struct pool {
	int fds[MORSEL_OF_DEVICE + 1][SLOTS];
};

static int *any_slot(struct pool *pool, enum morsel_request_target target)
{
	return &pool->fds[target][pick(SLOTS)];
}

/* Takes the place of one that is closed. The first of each kind stays. */
static void keep(struct pool *pool, enum morsel_request_target target, int fd)
{
	int *slot = &pool->fds[target][target == MORSEL_OF_OBJECT ? 1 + pick(SLOTS - 1) : pick(SLOTS)];

	if (*slot != NONE)
		close(*slot);
	*slot = fd;
}

/* What it has made. An object that is too large to be populated by chance is given up. */
static void keep_made(struct pool *pool, const struct request *request)
{
	switch (request->number) {
	case MORSEL_IOC_CREATE:
		if (argument.object.bytes <= OBJECT_BYTES)
			keep(pool, MORSEL_OF_OBJECT, argument.object.fd);
		else
			close(argument.object.fd);
		break;
	case MORSEL_IOC_VCPU:
	case MORSEL_IOC_VCPU_LAB:
		keep(pool, MORSEL_OF_VCPU, argument.vcpu.fd);
		break;
	case MORSEL_IOC_DEVICE:
	case MORSEL_IOC_DEVICE_LAB:
		keep(pool, MORSEL_OF_DEVICE, argument.device.fd);
		break;
	}
}

/* A name, and a vCPU or a device: there may be one device only. */
static void remove_by_chance(struct pool *pool)
{
	int *slot = any_slot(pool, MORSEL_OF_VCPU + pick(2));
	char path[64];

	snprintf(path, sizeof(path), "/morsel/random-%u", pick(4));
	unlink(path);
	if (*slot != NONE)
		close(*slot);
	*slot = NONE;
}

static void do_nothing(int number)
{
	(void)number;
}

/* Ends requests that wait: for a grace period that the closed gate holds up, for a guest that never ends. */
static timer_t interrupt_now_and_then(void)
{
	const struct itimerspec often = { .it_interval.tv_nsec = 20000000, .it_value.tv_nsec = 20000000 };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	const struct sigaction interrupt = { .sa_handler = do_nothing };
	timer_t timer;

	CHECK_EQ(sigaction(SIGUSR1, &interrupt, NULL), 0);
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	CHECK_EQ(timer_settime(timer, 0, &often, NULL), 0);
	return timer;
}

static unsigned number_of(const char *variable, unsigned otherwise)
{
	const char *given = getenv(variable);

	return given ? (unsigned)strtoul(given, NULL, 0) : otherwise;
}

/*
 * Frames come and go in an object of its own, that does not last: after an injected fault an object keeps all of them
 * to its end. Of the shared one only rights change.
 */
static void disturb(int shared)
{
	int own = open("/morsel", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), round;

	if (own < 0)
		return;			/* an allocation that fails on purpose */
	CHECK_EQ(ftruncate(own, MIB(1)), 0);
	for (round = 0; round < 16; round++) {
		change(own, MORSEL_IOC_POPULATE, 0, MIB(1), MORSEL_READ | MORSEL_WRITE, 0, NULL);
		change(own, MORSEL_IOC_UNMAP, 0, MIB(1), 0, 0, NULL);
		change(shared, MORSEL_IOC_PROTECT, 0, MIB(1), MORSEL_READ, 0, NULL);
		change(shared, MORSEL_IOC_PROTECT, 0, MIB(1), MORSEL_READ | MORSEL_WRITE, 0, NULL);
	}
	close(own);
}

/* Works without end: it waits at the closed gate, and runs into the rules of injection. */
static unsigned start_neighbour(int shared)
{
	const int pid = fork();

	CHECK(pid >= 0);
	while (!pid)
		disturb(shared);
	return (unsigned)pid;
}

static struct pool open_pool(void)
{
	struct pool pool;
	unsigned i;

	memset(&pool, 0xff, sizeof(pool));
	for (i = 0; i < SLOTS; i++)
		pool.fds[MORSEL_OF_MODULE][i] = open_device();
	pool.fds[MORSEL_OF_OBJECT][0] = open_object("random", OBJECT_BYTES);
	add_view(pool.fds[MORSEL_OF_OBJECT][0], MORSEL_FORMAT_VTD_SECOND_STAGE);
	add_view(pool.fds[MORSEL_OF_OBJECT][0], MORSEL_FORMAT_NPT);
	return pool;
}

/*
 * What this machine has no hardware for cannot be taken; what is for the gate's controller, or needs a view that nobody
 * has dropped, only now and then.
 */
static unsigned wanted_of(const struct request *request, const struct descriptors *had)
{
	switch (request->number) {
	case MORSEL_IOC_GATE_STOP:
	case MORSEL_IOC_GATE_RUN:
	case MORSEL_IOC_GATE_STEP:
	case MORSEL_IOC_GATE_UNTIL:
	case MORSEL_IOC_GATE_ACTORS:
	case MORSEL_IOC_MAP_VIEW:
	case MORSEL_IOC_DEVICE:
		return 0;
	case MORSEL_IOC_VCPU:
	case MORSEL_IOC_VCPU_LAB:
		return had->of[MORSEL_OF_VCPU] != NONE;
	case MORSEL_IOC_DEVICE_LAB:
		return had->of[MORSEL_OF_DEVICE] != NONE;
	default:
		return can_be_sent(had, request) != 0;
	}
}

/* Of each request that could be, some were: else chance has tried nothing of it but its refusals. */
static void check_taken(const unsigned *taken, const struct descriptors *had)
{
	unsigned i, missing = 0, of_controller = 0;

	for (i = 0; i < request_count; i++) {
		printf("# %s: %u\n", requests[i].name, taken[i]);
		missing += taken[i] < wanted_of(&requests[i], had);
		if (requests[i].target == MORSEL_OF_MODULE && !wanted_of(&requests[i], had))
			of_controller += taken[i];
	}
	fflush(stdout);
	CHECK_EQ(missing, 0);
	CHECK(of_controller);
}

/* What open_all() finds here. */
static struct descriptors hardware(void)
{
	const struct descriptors had = open_all();
	unsigned target;

	for (target = 0; target <= MORSEL_OF_DEVICE; target++)
		close(had.of[target]);
	return had;
}

static void send_random_requests(unsigned rounds)
{
	const struct descriptors had = hardware();
	struct pool pool = open_pool();
	unsigned taken[64] = { 0 }, i;
	timer_t timer;

	neighbour = start_neighbour(pool.fds[MORSEL_OF_OBJECT][0]);
	timer = interrupt_now_and_then();
	for (i = 0; i < rounds; i++) {
		const unsigned which = pick(request_count);
		const struct request *request = &requests[which];
		const int has_structure = _IOC_SIZE(request->number) != 0;
		const int fd = *any_slot(&pool, pick(32) ? request->target : pick(MORSEL_OF_DEVICE + 1));

		make_valid(request, argument.bytes);
		if (pick(2))
			spoil(request, argument.bytes);
		if (ioctl(fd, request->number, has_structure || !pick(16) ? argument.bytes : NULL))
			continue;
		taken[which]++;
		keep_made(&pool, request);
		if (!pick(8))
			remove_by_chance(&pool);
	}
	CHECK_EQ(timer_delete(timer), 0);
	kill((pid_t)neighbour, SIGKILL);
	CHECK_EQ(exit_status_of((pid_t)neighbour), -SIGKILL);
	if (rounds >= DEFAULT_ROUNDS)
		check_taken(taken, &had);
}

/*
 * By a tracepoint that is never passed: each switching of observation patches the kernel's code in hundreds of places,
 * which under TCG would be most of this test's time. Switching has a stress test of its own.
 */
static void keep_observation(const char *on)
{
	int fd = open("/sys/kernel/tracing/events/morsel/morsel_persist/enable", O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, on, 1), 1);
	close(fd);
}

/*
 * Any answer will do, but the kernel must stay whole: the harness looks at what is left, and who runs it at the log.
 * The seed is printed, and may be given as MORSEL_SEED, the number of requests as MORSEL_REQUESTS.
 */
static void survives_random_requests(void)
{
	struct morsel_journal_switch off = { .size = sizeof(off) };
	const unsigned seed = number_of("MORSEL_SEED", 20261120);
	int device = open_device(), pid, status;

	CHECK(request_count <= 64);
	dprintf(1, "# MORSEL_SEED=%u\n", seed);
	fflush(stdout);
	keep_observation("1");
	pid = fork();
	if (!pid) {
		srandom(seed);
		send_random_requests(number_of("MORSEL_REQUESTS", DEFAULT_ROUNDS));
		fflush(stdout);
		_exit(0);
	}
	status = exit_status_of(pid);
	CHECK_EQ(ioctl(device, MORSEL_IOC_INJECT_CLEAR, 0), 0);
	off.rings = (uintptr_t)argument.bytes;
	off.room = ARGUMENT_BYTES / 8;
	CHECK_EQ(ioctl(device, MORSEL_IOC_JOURNAL, &off), 0);
	keep_observation("0");
	CHECK_EQ(status, 0);
}

const struct test fuzz_tests[] = {
	{ "reserved_fields_must_be_zero", reserved_fields_must_be_zero },
	{ "unknown_flags_are_refused", unknown_flags_are_refused },
	{ "structures_tell_their_size", structures_tell_their_size },
	{ "requests_without_a_structure_take_zero", requests_without_a_structure_take_zero },
	{ "other_requests_are_unknown", other_requests_are_unknown },
	{ "survives_random_requests", survives_random_requests },
	{ NULL, NULL },
};
