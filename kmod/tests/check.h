/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small harness for tests of the module inside the guest. Each test runs in a process of its own, so that it may
 * fault, and leaves nothing behind: its objects' files are removed by the harness. Output is TAP.
 */
#ifndef MORSEL_KMOD_TESTS_CHECK_H
#define MORSEL_KMOD_TESTS_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "engine/abi/morsel_ioctl.h"

#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)
#define GIB(n) ((size_t)(n) << 30)
#define PAGE KIB(4)

struct test {
	const char *name;
	void (*run)(void);
};
struct suite {
	const char *name;
	const struct test *tests;	/* up to one without a name */
};
extern const struct test mapping_tests[], rights_tests[], view_tests[], request_tests[], stress_tests[], inject_tests[],
	pages_tests[], gate_tests[], grace_tests[], vcpu_tests[], vcpu_running_tests[], vcpu_switch_tests[],
	vcpu_wrong_tests[], vcpu_primary_tests[], kvm_tests[], device_tests[], drive_tests[], fuzz_tests[], fs_tests[],
	dead_device_tests[];

/* Ends the test with a message if the condition does not hold. */
#define CHECK(condition) check_at(__FILE__, __LINE__, #condition, (condition) ? 1 : 0)
#define CHECK_EQ(a, b) check_equal_at(__FILE__, __LINE__, #a " == " #b, (long long)(a), (long long)(b))
/* The request fails with this errno. */
#define CHECK_ERRNO(call, error) check_errno_at(__FILE__, __LINE__, #call, (long)(call), error)
void check_at(const char *file, int line, const char *text, int holds);
void check_equal_at(const char *file, int line, const char *text, long long a, long long b);
void check_errno_at(const char *file, int line, const char *text, long result, int error);

int open_device(void);
int open_object(const char *name, size_t bytes);	/* in morselfs, made if missing, for reading and writing */
volatile char *map(int fd, size_t bytes, int protection);
volatile char *map_view(int fd, unsigned view, size_t bytes);
int signal_of_read(const volatile char *address);	/* 0, SIGSEGV or SIGBUS */
int signal_of_write(volatile char *address, char value);

int change(int fd, unsigned long request, uint64_t start, uint64_t end, unsigned rights, unsigned leaf_level,
	   uint64_t *pages);
unsigned add_view(int fd, unsigned format);
int drop_view(int fd, unsigned view);
/* The request's return value; *result and *value as it answers. */
int access_view(int fd, unsigned view, uint64_t offset, unsigned rights, unsigned flags, uint64_t *value,
		unsigned *result);
struct morsel_info info_of(int fd);
/* What is unlinked is freed after a grace period: wait for it. The runner guards against a hang. */
void settle(int fd);
/* No process is known to the module any more: this one must not map an object. */
void wait_until_idle(void);
struct morsel_counters counters(void);
unsigned vcpu_count(void);
long module_references(void);
/* The module's parameter: the level of the largest entry that is attached, 0 to 2. */
unsigned granularity(void);
/* MORSEL_STRESS=N makes the stress tests, and the guard against hangs, N times as long. */
int stress_factor(void);
/* Memory that this process causes from now on is at most so much; what lies in one piece is refused, not awaited. */
void limit_memory(uint64_t bytes);
void lift_memory_limit(void);
int exit_status_of(int pid);	/* waits; -signal if it was killed */

#endif /* MORSEL_KMOD_TESTS_CHECK_H */
