// SPDX-License-Identifier: GPL-2.0-or-later
/* Faults injected on purpose: what goes wrong is what was asked for, and nothing else. */
#define _GNU_SOURCE
#include "kmod/tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"

#define ANY_TREE 0xffffffffu

static struct morsel_inject rule_of(unsigned point, unsigned action, unsigned view)
{
	return (struct morsel_inject){
		.size = sizeof(struct morsel_inject), .point = point, .action = action, .view = view, .nth = 1,
		.times = 1, .interval = 1, .probability = 100,
	};
}

static int add(struct morsel_inject rule)
{
	return ioctl(open_device(), MORSEL_IOC_INJECT_ADD, &rule);
}

static int add_rule(unsigned point, unsigned action, unsigned view, uint64_t nth, uint64_t times)
{
	struct morsel_inject rule = rule_of(point, action, view);

	rule.nth = nth;
	rule.times = times;
	return add(rule);
}

static uint64_t fired(unsigned number)
{
	struct morsel_inject rule = { .size = sizeof(rule), .rule = number };

	CHECK_EQ(ioctl(open_device(), MORSEL_IOC_INJECT_LIST, &rule), 0);
	return rule.fired;
}

static void clear_rules(void)
{
	CHECK_EQ(ioctl(open_device(), MORSEL_IOC_INJECT_CLEAR, 0), 0);
}

/* The second of two pages stays in the view, and still names its old frame, which is kept. */
static void dropped_invalidation_leaves_a_stale_entry(void)
{
	int fd = open_object("stale", MIB(64));
	unsigned ept = add_view(fd, MORSEL_FORMAT_EPT), npt = add_view(fd, MORSEL_FORMAT_NPT), result;
	const unsigned touch = MORSEL_ACCESS_TOUCH;
	uint64_t value = 77;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(1), MORSEL_READ | MORSEL_WRITE, 0, NULL), 0);
	for (uint64_t at = 0; at < 2 * PAGE; at += PAGE) {
		CHECK_EQ(access_view(fd, ept, at, MORSEL_WRITE, touch, &value, &result), 0);
		CHECK_EQ(access_view(fd, npt, at, MORSEL_READ, touch, &value, &result), 0);
	}
	CHECK_EQ(add_rule(MORSEL_POINT_invalidate, MORSEL_FAULT_DROP, ept, 2, 1), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, 2 * PAGE, 0, 0, NULL), 0);
	CHECK_EQ(fired(1), 1);
	clear_rules();
	CHECK_ERRNO(access_view(fd, ept, 0, MORSEL_READ, touch, &value, &result), ENXIO);
	CHECK_ERRNO(access_view(fd, npt, PAGE, MORSEL_READ, touch, &value, &result), ENXIO);
	value = 0;
	CHECK_EQ(access_view(fd, ept, PAGE, MORSEL_READ, touch, &value, &result), 0);
	CHECK_EQ(result, MORSEL_ACCESS_HIT);
	CHECK_EQ(value, 77);
	CHECK_EQ(info_of(fd).frames, 256);	/* also those that were unmapped */
}

static void failed_allocation_is_an_error_and_nothing_else(void)
{
	int fd = open_object("poor", MIB(64));
	unsigned ept = add_view(fd, MORSEL_FORMAT_EPT), result;
	uint64_t nth, pages;

	for (nth = 1; nth < 12; nth++) {
		int status;

		CHECK_EQ(add_rule(MORSEL_POINT_alloc, MORSEL_FAULT_FAIL, ANY_TREE, nth, 1), 0);
		status = change(fd, MORSEL_IOC_POPULATE, MIB(2), MIB(2) + 4 * PAGE, MORSEL_READ | MORSEL_WRITE, 0,
				&pages);
		if (!status)
			status = access_view(fd, ept, MIB(2), MORSEL_READ, 0, NULL, &result);
		if (status)
			CHECK_EQ(errno, ENOMEM);
		clear_rules();
	}
	CHECK_EQ(access_view(fd, ept, MIB(2), MORSEL_READ, 0, NULL, &result), 0);
}

static void lost_exchanges_are_repeated(void)
{
	static const unsigned points[] = {
		MORSEL_POINT_link, MORSEL_POINT_reserve, MORSEL_POINT_publish, MORSEL_POINT_link_primary,
		MORSEL_POINT_change,
	};
	int fd = open_object("lossy", MIB(64));
	unsigned view = add_view(fd, MORSEL_FORMAT_NPT), result;
	volatile char *a = map(fd, MIB(64), PROT_READ | PROT_WRITE);

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		CHECK_EQ(add_rule(points[i], MORSEL_FAULT_FAIL, ANY_TREE, 1, 3), 0);
	a[0] = 5;
	CHECK_EQ(access_view(fd, view, 0, MORSEL_READ, 0, NULL, &result), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, PAGE, 0, 0, NULL), 0);
	CHECK_EQ(a[0], 0);
	for (unsigned i = 1; i <= sizeof(points) / sizeof(points[0]); i++)
		CHECK_EQ(fired(i), 3);
	clear_rules();
}

static void rules_are_checked(void)
{
	static const struct { unsigned point, action; int error; } refused[] = {
		{ MORSEL_POINT_COUNT, MORSEL_FAULT_DROP, EINVAL },
		{ MORSEL_POINT_flush, MORSEL_FAULT_NONE, EINVAL },
		{ MORSEL_POINT_flush, MORSEL_FAULT_CRASH + 1, EINVAL },
		{ MORSEL_POINT_flush, MORSEL_FAULT_CORRUPT, EINVAL },	/* without bits */
		{ MORSEL_POINT_change, MORSEL_FAULT_DROP, EOPNOTSUPP },
		{ MORSEL_POINT_change, MORSEL_FAULT_DELAY, EOPNOTSUPP },
		{ MORSEL_POINT_retire, MORSEL_FAULT_DUPLICATE, EOPNOTSUPP },
		{ MORSEL_POINT_reserve, MORSEL_FAULT_CORRUPT, EOPNOTSUPP },
		{ MORSEL_POINT_flush, MORSEL_FAULT_FAIL, EOPNOTSUPP },
	};
	struct morsel_inject rule;
	int i;

	for (size_t each = 0; each < sizeof(refused) / sizeof(refused[0]); each++)
		CHECK_ERRNO(add_rule(refused[each].point, refused[each].action, ANY_TREE, 1, 1), refused[each].error);
	CHECK_ERRNO(add_rule(MORSEL_POINT_flush, MORSEL_FAULT_DROP, 17, 1, 1), EINVAL);
	CHECK_ERRNO(add_rule(MORSEL_POINT_flush, MORSEL_FAULT_DROP, ANY_TREE, 0, 1), EINVAL);
	CHECK_ERRNO(add_rule(MORSEL_POINT_flush, MORSEL_FAULT_DROP, ANY_TREE, 1, 0), EINVAL);
	CHECK_ERRNO(add_rule(MORSEL_POINT_reserve, MORSEL_FAULT_FAIL, ANY_TREE, 1, ~0ull), ERANGE);
	rule = rule_of(MORSEL_POINT_flush, MORSEL_FAULT_DROP, ANY_TREE);
	rule.interval = 0;
	CHECK_ERRNO(add(rule), EINVAL);
	rule.interval = 1;
	rule.probability = 101;
	CHECK_ERRNO(add(rule), EINVAL);
	rule.probability = 100;
	rule.bits = 1;
	CHECK_ERRNO(add(rule), EINVAL);
	rule.bits = 0;
	rule.until = 1;
	CHECK_ERRNO(add(rule), EINVAL);
	rule.action = MORSEL_FAULT_DELAY;
	rule.until = MORSEL_POINT_COUNT;
	CHECK_ERRNO(add(rule), EINVAL);
	rule.until = 1;
	rule.start = 1;
	CHECK_ERRNO(add(rule), EINVAL);
	rule.start = 0;
	rule.reserved = 1;
	CHECK_ERRNO(add(rule), EINVAL);
	for (i = 0; i < 32; i++)
		CHECK_EQ(add_rule(MORSEL_POINT_flush, MORSEL_FAULT_DROP, ANY_TREE, 1, 1), 0);
	CHECK_ERRNO(add_rule(MORSEL_POINT_flush, MORSEL_FAULT_DROP, ANY_TREE, 1, 1), ENOSPC);
	clear_rules();
}

static void a_rule_may_be_about_one_object(void)
{
	int spared = open_object("spared", MIB(2)), struck = open_object("struck", MIB(2));
	struct morsel_inject rule = rule_of(MORSEL_POINT_alloc, MORSEL_FAULT_FAIL, ANY_TREE);

	rule.object_id = info_of(struck).object_id;
	CHECK_EQ(add(rule), 0);
	CHECK_EQ(change(spared, MORSEL_IOC_POPULATE, 0, PAGE, MORSEL_READ | MORSEL_WRITE, 0, NULL), 0);
	CHECK_EQ(fired(1), 0);
	CHECK_ERRNO(change(struck, MORSEL_IOC_POPULATE, 0, PAGE, MORSEL_READ | MORSEL_WRITE, 0, NULL), ENOMEM);
	CHECK_EQ(fired(1), 1);
	clear_rules();
}

static struct morsel_fired last_that_fired(int device)
{
	struct morsel_fired fired = { .size = sizeof(fired) };

	while (ioctl(device, MORSEL_IOC_INJECT_FIRED, &fired) == 0)
		continue;
	CHECK_EQ(errno, ENOENT);
	return fired;
}

static void fired_rules_are_told(void)
{
	int fd = open_object("told", MIB(2)), device = open("/dev/morsel", O_RDWR | O_CLOEXEC);
	struct pollfd urgent = { .fd = device, .events = POLLPRI };
	struct morsel_fired before = last_that_fired(device), after;

	CHECK_EQ(poll(&urgent, 1, 0), 1);
	CHECK_EQ(urgent.revents, POLLHUP);	/* it does not control the gate */
	CHECK_EQ(add_rule(MORSEL_POINT_alloc, MORSEL_FAULT_FAIL, ANY_TREE, 1, 100), 0);
	for (int i = 0; i < 100; i++)
		CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, 0, PAGE, MORSEL_READ | MORSEL_WRITE, 0, NULL), ENOMEM);
	CHECK_EQ(poll(&urgent, 1, 0), 1);
	CHECK_EQ(urgent.revents, POLLPRI | POLLHUP);
	after = before;
	CHECK_EQ(ioctl(device, MORSEL_IOC_INJECT_FIRED, &after), 0);
	CHECK_EQ(after.sequence, before.sequence + 37);	/* the last 64 are known */
	after = last_that_fired(device);
	CHECK_EQ(after.sequence, before.sequence + 100);
	CHECK_EQ(after.rule, 1);
	CHECK_EQ(after.point, MORSEL_POINT_alloc);
	CHECK_EQ(after.actor, (unsigned)getpid());
	CHECK_EQ(after.object_id, info_of(fd).object_id);
	CHECK_EQ(poll(&urgent, 1, 0), 1);
	CHECK_EQ(urgent.revents, POLLHUP);
	clear_rules();
	close(device);
}

/* Everything that can be spoilt at once, by chance, while pages come and go: nothing of the module's own is lost. */
static void chance_spoils_views_and_nothing_else(void)
{
	static const unsigned points[] = {
		MORSEL_POINT_reserve, MORSEL_POINT_publish, MORSEL_POINT_undo, MORSEL_POINT_pend, MORSEL_POINT_unpend,
		MORSEL_POINT_invalidate, MORSEL_POINT_flush, MORSEL_POINT_carry,
	};
	int fd = open_object("spoilt", MIB(64));
	unsigned ept = add_view(fd, MORSEL_FORMAT_EPT), amd = add_view(fd, MORSEL_FORMAT_AMD64), result;
	unsigned seed = 1;

	for (unsigned i = 0; i < 3 * sizeof(points) / sizeof(points[0]); i++) {
		struct morsel_inject rule = rule_of(points[i / 3], 0, ANY_TREE);

		rule.action = i % 3 == 0 ? MORSEL_FAULT_DROP : i % 3 == 1 ? MORSEL_FAULT_DELAY :
			      MORSEL_FAULT_DUPLICATE;
		rule.until = i % 3 == 1 ? MORSEL_POINT_flush : 0;
		rule.times = 500;
		rule.probability = 20;
		rule.seed = i;
		CHECK_EQ(add(rule), 0);
	}
	for (int round = 0; round < 300; round++) {
		const uint64_t at = MIB(2) * (rand_r(&seed) % 8) + PAGE * (rand_r(&seed) % 16);

		change(fd, round % 5 ? MORSEL_IOC_POPULATE : MORSEL_IOC_UNMAP, at & ~(MIB(1) - 1), at + PAGE,
		       round % 5 ? MORSEL_READ | MORSEL_WRITE : 0, 0, NULL);
		access_view(fd, ept, at, MORSEL_READ, 0, NULL, &result);
		access_view(fd, amd, at, MORSEL_WRITE, 0, NULL, &result);
	}
	clear_rules();
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, MIB(64), 0, 0, NULL), 0);
}

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* The tracepoints tell an access by the point's name; enabling one turns observation on. */
static void points_are_tracepoints(void)
{
	static char text[KIB(64)];
	int fd = open_object("traced", MIB(2)), trace;
	unsigned ept = add_view(fd, MORSEL_FORMAT_EPT), result;
	char want[64];

	write_to("/sys/kernel/tracing/trace", "\n");
	write_to("/sys/kernel/tracing/events/morsel/morsel_publish/enable", "1");
	write_to("/sys/kernel/tracing/events/morsel/morsel_invalidate/enable", "1");
	CHECK_EQ(access_view(fd, ept, PAGE, MORSEL_READ, MORSEL_ACCESS_POPULATE, NULL, &result), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, PAGE, 2 * PAGE, 0, 0, NULL), 0);
	write_to("/sys/kernel/tracing/events/morsel/enable", "0");
	trace = open("/sys/kernel/tracing/trace", O_RDONLY | O_CLOEXEC);
	for (ssize_t n, used = 0; (n = read(trace, text + used, sizeof(text) - 1 - used)) > 0;)
		used += n;
	snprintf(want, sizeof(want), "morsel_publish: object=%u actor=1 tree=%u level=0 offset=0x1000",
		 info_of(fd).object_id, ept);
	CHECK(strstr(text, want) != NULL);
	CHECK(strstr(text, "morsel_invalidate: object=") != NULL);
	CHECK(strstr(text, "morsel_reserve") == NULL);	/* not enabled */
}

const struct test inject_tests[] = {
	{ "dropped_invalidation_leaves_a_stale_entry", dropped_invalidation_leaves_a_stale_entry },
	{ "failed_allocation_is_an_error_and_nothing_else", failed_allocation_is_an_error_and_nothing_else },
	{ "lost_exchanges_are_repeated", lost_exchanges_are_repeated },
	{ "rules_are_checked", rules_are_checked },
	{ "a_rule_may_be_about_one_object", a_rule_may_be_about_one_object },
	{ "fired_rules_are_told", fired_rules_are_told },
	{ "chance_spoils_views_and_nothing_else", chance_spoils_views_and_nothing_else },
	{ "points_are_tracepoints", points_are_tracepoints },
	{ NULL, NULL },
};
