// SPDX-License-Identifier: GPL-2.0-or-later
/* The harness: checks, short forms of the requests, and the runner. */
#include "kmod/tests/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/abi/morsel_vcpu.h"

#define MOUNT_POINT "/morsel"
#define CGROUPS "/cgroups"
#define HANG_GUARD_SECONDS 240

static const struct suite suites[] = {
	{ "mapping", mapping_tests }, { "rights", rights_tests }, { "view", view_tests },
	{ "request", request_tests }, { "stress", stress_tests }, { "inject", inject_tests },
	{ "gate", gate_tests },
	{ "grace", grace_tests },
	{ "pages", pages_tests }, { "vcpu", vcpu_tests },
	{ "vcpu-running", vcpu_running_tests }, { "vcpu-switch", vcpu_switch_tests },
	{ "vcpu-wrong", vcpu_wrong_tests },
	{ "vcpu-primary", vcpu_primary_tests }, { "kvm", kvm_tests },
	{ "device", device_tests }, { "drive", drive_tests }, { "fuzz", fuzz_tests },
	{ "fs", fs_tests }, { "dead-device", dead_device_tests },
};

static void fail(const char *file, int line, const char *text)
{
	printf("# %s:%d: %s (errno %d, %s)\n", file, line, text, errno, strerror(errno));
	fflush(stdout);
	_exit(1);
}

void check_at(const char *file, int line, const char *text, int holds)
{
	if (!holds)
		fail(file, line, text);
}

void check_equal_at(const char *file, int line, const char *text, long long a, long long b)
{
	if (a == b)
		return;
	printf("# left %lld (%#llx), right %lld (%#llx)\n", a, (unsigned long long)a, b, (unsigned long long)b);
	fail(file, line, text);
}

void check_errno_at(const char *file, int line, const char *text, long result, int error)
{
	if (result == -1 && errno == error)
		return;
	printf("# result %ld, wanted errno %d (%s)\n", result, error, strerror(error));
	fail(file, line, text);
}

int open_device(void)
{
	int fd = open("/dev/morsel", O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

int open_object(const char *name, size_t bytes)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), MOUNT_POINT "/%s", name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	if (bytes)
		CHECK_EQ(ftruncate(fd, bytes), 0);
	return fd;
}

volatile char *map(int fd, size_t bytes, int protection)
{
	void *address = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);

	CHECK(address != MAP_FAILED);
	return address;
}

volatile char *map_view(int fd, unsigned view, size_t bytes)
{
	struct morsel_map_view request = { .size = sizeof(request), .view = view };
	volatile char *address;

	CHECK_EQ(ioctl(fd, MORSEL_IOC_MAP_VIEW, &request), 0);
	address = map(fd, bytes, PROT_READ | PROT_WRITE);
	request.view = 0;
	CHECK_EQ(ioctl(fd, MORSEL_IOC_MAP_VIEW, &request), 0);
	return address;
}

static sigjmp_buf after_fault;

static void on_fault(int number)
{
	siglongjmp(after_fault, number);
}

static int signal_of(volatile char *address, int write, char value)
{
	struct sigaction action = { .sa_handler = on_fault };
	int number;

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	number = sigsetjmp(after_fault, 1);
	if (number)
		return number;
	if (write)
		*address = value;
	else
		(void)*address;
	return 0;
}

int signal_of_read(const volatile char *address)
{
	return signal_of((volatile char *)address, 0, 0);
}

int signal_of_write(volatile char *address, char value)
{
	return signal_of(address, 1, value);
}

int change(int fd, unsigned long request, uint64_t start, uint64_t end, unsigned rights, unsigned leaf_level,
	   uint64_t *pages)
{
	struct morsel_range range = {
		.size = sizeof(range), .rights = rights, .start = start, .end = end, .leaf_level = leaf_level,
	};
	int result = ioctl(fd, request, &range);

	if (pages)
		*pages = range.changed_pages;
	return result;
}

unsigned add_view(int fd, unsigned format)
{
	struct morsel_view_add request = { .size = sizeof(request), .format = format };

	CHECK_EQ(ioctl(fd, MORSEL_IOC_VIEW_ADD, &request), 0);
	return request.view;
}

int drop_view(int fd, unsigned view)
{
	struct morsel_view_drop request = { .size = sizeof(request), .view = view };

	return ioctl(fd, MORSEL_IOC_VIEW_DROP, &request);
}

int access_view(int fd, unsigned view, uint64_t offset, unsigned rights, unsigned flags, uint64_t *value,
		unsigned *result)
{
	struct morsel_access request = {
		.size = sizeof(request), .view = view, .offset = offset, .rights = rights, .flags = flags,
		.value = value ? *value : 0,
	};
	int status = ioctl(fd, MORSEL_IOC_ACCESS, &request);

	if (value)
		*value = request.value;
	if (result)
		*result = request.result;
	return status;
}

struct morsel_info info_of(int fd)
{
	struct morsel_info info = { .size = sizeof(info) };

	CHECK_EQ(ioctl(fd, MORSEL_IOC_INFO, &info), 0);
	return info;
}

void settle(int fd)
{
	CHECK_EQ(ioctl(fd, MORSEL_IOC_SETTLE, 0), 0);
}

void wait_until_idle(void)
{
	int fd = open_device();

	CHECK_EQ(ioctl(fd, MORSEL_IOC_IDLE, 0), 0);
	close(fd);
}

struct morsel_counters counters(void)
{
	struct morsel_counters result = { .size = sizeof(result) };
	int fd = open_device();

	CHECK_EQ(ioctl(fd, MORSEL_IOC_COUNTERS, &result), 0);
	close(fd);
	return result;
}

long module_references(void)
{
	FILE *file = fopen("/sys/module/morsel/refcnt", "re");
	long references;

	CHECK(file && fscanf(file, "%ld", &references) == 1);
	fclose(file);
	return references;
}

unsigned vcpu_count(void)
{
	struct morsel_vcpu_state state = { .size = sizeof(state) };
	int fd = open_device();

	CHECK_EQ(ioctl(fd, MORSEL_IOC_VCPU_STATE, &state), 0);
	close(fd);
	return state.vcpus;
}

unsigned granularity(void)
{
	char text[8] = "";
	int fd = open("/sys/module/morsel/parameters/granularity", O_RDONLY | O_CLOEXEC);

	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return text[0] == '1' ? 2 : text[0] == '2' ? 1 : 0;
}

int stress_factor(void)
{
	const char *factor = getenv("MORSEL_STRESS");

	return factor && atoi(factor) > 0 ? atoi(factor) : 1;
}

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

void limit_memory(uint64_t bytes)
{
	char text[32];

	CHECK(!mkdir(CGROUPS, 0755) || errno == EEXIST);
	CHECK_EQ(mount("none", CGROUPS, "cgroup2", 0, NULL), 0);
	write_to(CGROUPS "/cgroup.subtree_control", "+memory");
	CHECK(!mkdir(CGROUPS "/limited", 0755) || errno == EEXIST);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	write_to(CGROUPS "/limited/memory.max", text);
	write_to(CGROUPS "/limited/cgroup.procs", "0");
}

void lift_memory_limit(void)
{
	write_to(CGROUPS "/cgroup.procs", "0");
	CHECK_EQ(rmdir(CGROUPS "/limited"), 0);
	CHECK_EQ(umount(CGROUPS), 0);
}

int exit_status_of(int pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void remove_objects(void)
{
	DIR *directory = opendir(MOUNT_POINT);
	struct dirent *entry;

	CHECK(directory != NULL);
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(directory), entry->d_name, 0);
	closedir(directory);
}

/* Everything that a test held is back. Contexts are freed by the kernel a little later: see wait_until_idle(). */
static int nothing_left(void)
{
	const struct morsel_counters c = counters();

	const unsigned vcpus = vcpu_count();

	if (!c.objects && !c.views && !c.tables && !c.frames && !c.attachments && !c.bad_entries && !c.own_pages &&
	    !vcpus)
		return 1;
	printf("# left: objects %llu views %llu tables %llu frames %llu attachments %llu; bad entries %llu; "
	       "vcpus %u, own pages %llu\n",
	       c.objects, c.views, c.tables, c.frames, c.attachments, c.bad_entries, vcpus, c.own_pages);
	return 0;
}

static int run(const struct test *test)
{
	int pid, status;

	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		setpgid(0, 0);
		alarm(HANG_GUARD_SECONDS * stress_factor());
		test->run();
		fflush(stdout);
		_exit(0);
	}
	status = exit_status_of(pid);
	if (status)
		printf("# status %d\n", status);
	kill(-pid, SIGKILL);	/* what a failed test left running */
	while (wait(NULL) > 0)
		;
	remove_objects();
	return !status && nothing_left();
}

/* morsel-kmod-test [SUITE [TEST]] */
int main(int argc, char **argv)
{
	const char *suite = argc > 1 ? argv[1] : NULL, *only = argc > 2 ? argv[2] : NULL;
	int count = 0, failed = 0;
	size_t i;

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	for (i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		const struct test *test;

		if (suite && strcmp(suite, suites[i].name))
			continue;
		for (test = suites[i].tests; test->name; test++) {
			int ok;

			if (only && strcmp(only, test->name))
				continue;
			ok = run(test);
			printf("%s %d - %s.%s\n", ok ? "ok" : "not ok", ++count, suites[i].name, test->name);
			failed += !ok;
		}
	}
	alarm(HANG_GUARD_SECONDS);
	wait_until_idle();
	printf("1..%d\n", count);
	return count ? failed != 0 : 2;
}
