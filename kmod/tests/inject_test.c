// SPDX-License-Identifier: GPL-2.0-or-later
/* Faults injected on purpose: what goes wrong is what was asked for, and nothing else. */
#define _GNU_SOURCE
#include "kmod/tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"

#define ANY_TREE 0xffffffffu

static int add_rule(unsigned point, unsigned action, unsigned view, uint64_t nth, uint64_t times)
{
	struct morsel_inject rule = {
		.size = sizeof(rule), .point = point, .action = action, .view = view, .nth = nth, .times = times,
	};

	return ioctl(open_device(), MORSEL_IOC_INJECT_ADD, &rule);
}

static uint64_t fired(unsigned number)
{
	struct morsel_inject rule = { .size = sizeof(rule), .rule = number };

	CHECK_EQ(ioctl(open_device(), MORSEL_IOC_INJECT_LIST, &rule), 0);
	return rule.fired;
}

static void clear_rules(void)
{
	CHECK_EQ(ioctl(open_device(), MORSEL_IOC_INJECT_CLEAR), 0);
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
	int i;

	CHECK_ERRNO(add_rule(MORSEL_POINT_COUNT, MORSEL_FAULT_DROP, ANY_TREE, 1, 1), EINVAL);
	CHECK_ERRNO(add_rule(MORSEL_POINT_flush, 3, ANY_TREE, 1, 1), EINVAL);
	CHECK_ERRNO(add_rule(MORSEL_POINT_flush, MORSEL_FAULT_NONE, ANY_TREE, 1, 1), EINVAL);
	CHECK_ERRNO(add_rule(MORSEL_POINT_flush, MORSEL_FAULT_DROP, 17, 1, 1), EINVAL);
	CHECK_ERRNO(add_rule(MORSEL_POINT_flush, MORSEL_FAULT_DROP, ANY_TREE, 0, 1), EINVAL);
	CHECK_ERRNO(add_rule(MORSEL_POINT_flush, MORSEL_FAULT_DROP, ANY_TREE, 1, 0), EINVAL);
	CHECK_ERRNO(add_rule(MORSEL_POINT_change, MORSEL_FAULT_DROP, ANY_TREE, 1, 1), EOPNOTSUPP);
	CHECK_ERRNO(add_rule(MORSEL_POINT_retire, MORSEL_FAULT_DROP, ANY_TREE, 1, 1), EOPNOTSUPP);
	CHECK_ERRNO(add_rule(MORSEL_POINT_flush, MORSEL_FAULT_FAIL, ANY_TREE, 1, 1), EOPNOTSUPP);
	CHECK_ERRNO(add_rule(MORSEL_POINT_reserve, MORSEL_FAULT_FAIL, ANY_TREE, 1, ~0ull), ERANGE);
	for (i = 0; i < 32; i++)
		CHECK_EQ(add_rule(MORSEL_POINT_flush, MORSEL_FAULT_DROP, ANY_TREE, 1, 1), 0);
	CHECK_ERRNO(add_rule(MORSEL_POINT_flush, MORSEL_FAULT_DROP, ANY_TREE, 1, 1), ENOSPC);
	clear_rules();
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
	{ "points_are_tracepoints", points_are_tracepoints },
	{ NULL, NULL },
};
