// SPDX-License-Identifier: GPL-2.0-or-later
/* QEMU's edu device on an object's view, whose tables the IOMMU walks; and how devices are attached and given back. */
#define _GNU_SOURCE
#include "kmod/tests/dma.h"
#include "kmod/tests/gate_client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"

#define RW (MORSEL_READ | MORSEL_WRITE)

static unsigned add_vtd_view(int fd)
{
	return add_view(fd, MORSEL_FORMAT_VTD_SECOND_STAGE);
}

static uint64_t edu_read(int edu, uint64_t offset)
{
	struct morsel_dma request = transfer(MORSEL_READ, offset, 8, 0);

	CHECK_EQ(dma(edu, &request), MORSEL_DMA_DONE);
	return request.value;
}

static void edu_write(int edu, uint64_t offset, uint64_t value)
{
	struct morsel_dma request = transfer(MORSEL_WRITE, offset, 8, 0);

	request.value = value;
	CHECK_EQ(dma(edu, &request), MORSEL_DMA_DONE);
}

/* One object through two formats: every write is seen on the other side, and there is one copy of each page. */
static void process_and_device_share_an_object(void)
{
	int fd = open_object("dma-shared", MIB(64)), edu = new_device(fd, add_vtd_view(fd), MORSEL_DEVICE_EDU);
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(64), PROT_READ | PROT_WRITE);

	words[0] = 1000;
	words[5 * PAGE / 8] = 1005;
	CHECK_EQ(info_of(fd).frames, 2);
	CHECK_EQ(edu_read(edu, 0), 1000);
	CHECK_EQ(edu_read(edu, 5 * PAGE), 1005);
	edu_write(edu, 8, 2000);
	CHECK_EQ(words[1], 2000);
	CHECK_EQ(words[0], 1000);
	CHECK_EQ(info_of(fd).frames, 2);	/* nothing was copied, nothing allocated */
	edu_write(edu, MIB(3), 7);		/* a hole: populated for the device, and there for the process */
	CHECK_EQ(info_of(fd).frames, 3);
	CHECK_EQ(words[MIB(3) / 8], 7);
}

/* Only a fault tells the module that the device wants a page; it names page, right, reason and device. */
static void faults_fill_and_tell_what_it_took(void)
{
	int fd = open_object("dma-filled", MIB(64)), edu;
	struct morsel_dma request = transfer(MORSEL_READ, MIB(5) + 16, 8, 0);
	const uint64_t fills = counters().fills_total;
	struct morsel_device_attach attached;

	CHECK_EQ(attach_device(fd, add_vtd_view(fd), MORSEL_DEVICE_EDU, &attached), 0);
	edu = attached.fd;
	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, MIB(4), MIB(6), RW, 0, NULL), 0);
	CHECK_EQ(dma(edu, &request), MORSEL_DMA_DONE);
	CHECK_EQ(request.outcome, MORSEL_ACCESS_FILLED);
	CHECK_EQ(request.faults, 1);
	CHECK_EQ(request.transfers, 2);
	CHECK_EQ(request.fault, MIB(5));
	CHECK_EQ(request.fault_class, MORSEL_DMA_REFUSED);
	CHECK_EQ(request.reason, 6);		/* VT-d, 7.1.3: a read that no entry allows */
	CHECK_EQ(request.source, attached.device);
	CHECK_EQ(request.access, MORSEL_READ);
	CHECK_EQ(counters().fills_total, fills + 1);
	CHECK_EQ(dma(edu, &request), MORSEL_DMA_DONE);	/* what was filled stays */
	CHECK_EQ(request.outcome, MORSEL_ACCESS_HIT);
	CHECK_EQ(request.faults, 0);
	request = transfer(MORSEL_WRITE, MIB(5) + PAGE, 8, 0);
	request.flags = MORSEL_DMA_NO_FILL;
	CHECK_EQ(dma(edu, &request), MORSEL_DMA_FAULT);
	CHECK_EQ(request.fault, MIB(5) + PAGE);
	CHECK_EQ(request.reason, 5);		/* a write */
	CHECK_EQ(request.access, MORSEL_WRITE);
	request = transfer(MORSEL_READ, MIB(1), 8, 0);
	request.flags = 0;
	CHECK_EQ(dma(edu, &request), MORSEL_DMA_HOLE);
	request.offset = MIB(64);
	CHECK_EQ(dma(edu, &request), MORSEL_DMA_OUTSIDE);
}

/* Also where the IOMMU has cached what is not allowed any more, or not yet. */
static void rights_are_the_primarys(void)
{
	int fd = open_object("dma-rights", MIB(2)), edu = new_device(fd, add_vtd_view(fd), MORSEL_DEVICE_EDU);
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(2), PROT_READ);
	struct morsel_dma request = transfer(MORSEL_WRITE, 8, 8, 0);

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, PAGE, MORSEL_READ, 0, NULL), 0);
	CHECK_EQ(edu_read(edu, 0), 0);
	request.value = 5;
	CHECK_EQ(dma(edu, &request), MORSEL_DMA_DENIED);
	CHECK_EQ(words[1], 0);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 0, PAGE, RW, 0, NULL), 0);
	request.value = 6;
	CHECK_EQ(dma(edu, &request), MORSEL_DMA_DONE);
	CHECK_EQ(request.outcome, MORSEL_ACCESS_FILLED);
	CHECK_EQ(words[1], 6);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 0, PAGE, MORSEL_READ, 0, NULL), 0);
	request.value = 7;
	CHECK_EQ(dma(edu, &request), MORSEL_DMA_DENIED);
	CHECK_EQ(words[1], 6);
}

static void an_access_is_a_dma_of_the_device(void)
{
	int fd = open_object("dma-access", MIB(2));
	struct morsel_access request = {
		.size = sizeof(request), .view = add_vtd_view(fd), .rights = MORSEL_WRITE, .offset = 3 * PAGE,
		.flags = MORSEL_ACCESS_TOUCH | MORSEL_ACCESS_POPULATE, .value = 77,
	};
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);

	CHECK_EQ(ioctl(fd, MORSEL_IOC_ACCESS, &request), 0);
	CHECK_EQ(request.walker, MORSEL_WALKER_VTD);
	CHECK_EQ(request.result, MORSEL_ACCESS_POPULATED);
	CHECK_EQ(words[3 * PAGE / 8], 77);
	words[3 * PAGE / 8] = 78;
	request.rights = MORSEL_READ;
	CHECK_EQ(ioctl(fd, MORSEL_IOC_ACCESS, &request), 0);
	CHECK_EQ(request.walker, MORSEL_WALKER_VTD);
	CHECK_EQ(request.result, MORSEL_ACCESS_HIT);
	CHECK_EQ(request.value, 78);
	CHECK_EQ(attached_devices(), 0);
	request.rights = MORSEL_EXEC;		/* no device does that */
	CHECK_EQ(ioctl(fd, MORSEL_IOC_ACCESS, &request), 0);
	CHECK_EQ(request.walker, MORSEL_WALKER_ENGINE);
}

/* The edu device's configuration, as sysfs has it. */
static void find_edu(char *path, size_t room)
{
	const unsigned edu = 0x11e81234;
	DIR *folder = opendir("/sys/bus/pci/drivers/morsel");
	struct dirent *entry;
	unsigned ids = 0;

	CHECK(folder != NULL);
	while (ids != edu && (entry = readdir(folder))) {
		int fd;

		if (strncmp(entry->d_name, "0000:", 5))
			continue;
		snprintf(path, room, "/sys/bus/pci/devices/%s/config", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		CHECK_EQ(pread(fd, &ids, sizeof(ids), 0), sizeof(ids));
		close(fd);
	}
	CHECK_EQ(ids, edu);
	closedir(folder);
}

#define COMMAND 4
#define COMMAND_MASTER 4

static int masters_bus(const char *config)
{
	int fd = open(config, O_RDONLY | O_CLOEXEC);
	unsigned short command;

	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, &command, sizeof(command), COMMAND), sizeof(command));
	close(fd);
	return (command & COMMAND_MASTER) != 0;
}

/* As if it had stopped answering: neither its DMA nor its interrupt gets through. */
static void take_off_the_bus(const char *config)
{
	int fd = open(config, O_RDWR | O_CLOEXEC);
	unsigned short command;

	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, &command, sizeof(command), COMMAND), sizeof(command));
	command &= (unsigned short)~COMMAND_MASTER;
	CHECK_EQ(pwrite(fd, &command, sizeof(command), COMMAND), sizeof(command));
	close(fd);
}

static void tell_driver(const char *what, const char *config)
{
	const char *address = config + strlen("/sys/bus/pci/devices/");
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/morsel/%s", what);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, address, strlen("0000:00:00.0")), strlen("0000:00:00.0"));
	close(fd);
}

/* The module waits half a minute for the answer. */
static void what_has_stopped_answering_is_kept_off_the_bus(void)
{
	int fd = open_object("dma-dead", MIB(2)), edu;
	unsigned view = add_vtd_view(fd);
	struct morsel_dma request = transfer(MORSEL_READ, 0, 8, 0);
	struct morsel_device_attach attachment;
	char config[300];

	find_edu(config, sizeof(config));
	edu = new_device(fd, view, MORSEL_DEVICE_EDU);
	take_off_the_bus(config);
	CHECK_ERRNO(ioctl(edu, MORSEL_IOC_DMA, &request), EIO);
	CHECK_ERRNO(ioctl(edu, MORSEL_IOC_DMA, &request), EIO);
	close(edu);
	CHECK_ERRNO(attach_device(fd, view, MORSEL_DEVICE_EDU, &attachment), EIO);
	CHECK(strstr(attachment.reason, "stopped answering") != NULL);
	CHECK(!masters_bus(config));
	tell_driver("unbind", config);
	CHECK_ERRNO(attach_device(fd, view, MORSEL_DEVICE_EDU, &attachment), ENOENT);
	tell_driver("bind", config);
	CHECK_EQ(edu_read(new_device(fd, view, MORSEL_DEVICE_EDU), 0), 0);
}

/* Where the kernel has put a process to sleep; "0": it runs. */
static void place_of(int pid, char *place, size_t room)
{
	char path[64];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	length = read(fd, place, room - 1);
	CHECK(length >= 0);
	place[length] = 0;
	close(fd);
}

/* The driver's own wait. A process that ended meanwhile, or waits for something else for ever, fails the test. */
static void wait_until_it_unbinds(int pid)
{
	char place[64];
	int status;

	do {
		CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
		sched_yield();
		place_of(pid, place, sizeof(place));
	} while (strcmp(place, "remove"));
}

static void unbinding_waits_until_the_device_is_given_back(void)
{
	int fd = open_object("dma-unbound", MIB(2)), edu, pid;
	unsigned view = add_vtd_view(fd);
	struct morsel_device_attach attachment;
	char config[300];

	find_edu(config, sizeof(config));
	edu = new_device(fd, view, MORSEL_DEVICE_EDU);
	pid = fork();
	if (!pid) {
		close(edu);
		tell_driver("unbind", config);
		_exit(attach_device(fd, view, MORSEL_DEVICE_EDU, &attachment) && errno == ENOENT ? 0 : 1);
	}
	wait_until_it_unbinds(pid);
	CHECK(masters_bus(config));
	CHECK_EQ(edu_read(edu, 0), 0);		/* it is still the one who has it */
	CHECK_EQ(edu_read(edu, PAGE), 0);
	CHECK_EQ(attached_devices(), 1);
	wait_until_it_unbinds(pid);
	close(edu);
	CHECK_EQ(exit_status_of(pid), 0);
	tell_driver("bind", config);
	CHECK_EQ(edu_read(new_device(fd, view, MORSEL_DEVICE_EDU), 0), 0);
}

static void what_was_attached_is_given_back(void)
{
	int fd = open_object("dma-back", MIB(2)), edu, round;
	unsigned view = add_vtd_view(fd);
	struct morsel_device_attach request;
	const long references = module_references();
	char config[300];

	find_edu(config, sizeof(config));
	for (round = 0; round < 3; round++) {
		CHECK_EQ(attached_devices(), 0);
		CHECK(!masters_bus(config));
		edu = new_device(fd, view, MORSEL_DEVICE_EDU);
		CHECK(masters_bus(config));
		CHECK_EQ(attached_devices(), 1);
		CHECK(module_references() > references);
		CHECK_ERRNO(syscall(SYS_delete_module, "morsel", O_NONBLOCK), EAGAIN);
		CHECK_ERRNO(attach_device(fd, view, MORSEL_DEVICE_EDU, &request), EBUSY);
		CHECK(strstr(request.reason, "attached already") != NULL);
		CHECK_ERRNO(drop_view(fd, view), EBUSY);
		close(edu);
	}
	CHECK_EQ(attached_devices(), 0);
	CHECK(!masters_bus(config));
	CHECK_EQ(module_references(), references);
	CHECK_EQ(drop_view(fd, view), 0);
}

/* Also in the middle of a transfer. */
static void who_is_killed_gives_its_device_back(void)
{
	int fd = open_object("dma-killed", MIB(2)), ready[2], pid;
	unsigned view = add_vtd_view(fd);
	char config[300], byte;

	CHECK_EQ(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		int edu = new_device(fd, view, MORSEL_DEVICE_EDU);

		CHECK_EQ(write(ready[1], "x", 1), 1);
		for (;;)
			edu_read(edu, 0);
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	CHECK_EQ(attached_devices(), 1);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(exit_status_of(pid), -SIGKILL);
	CHECK_EQ(attached_devices(), 0);
	find_edu(config, sizeof(config));
	CHECK(!masters_bus(config));
	CHECK_EQ(edu_read(new_device(fd, view, MORSEL_DEVICE_EDU), 0), 0);
}

static void wrong_requests_are_refused_in_words(void)
{
	int fd = open_object("dma-wrong", MIB(2)), edu;
	unsigned vtd = add_vtd_view(fd), ept = add_view(fd, MORSEL_FORMAT_EPT);
	struct morsel_device_attach request;
	struct morsel_dma wrong;
	char config[300];
	int pid;

	CHECK_ERRNO(attach_device(fd, ept, MORSEL_DEVICE_EDU, &request), EOPNOTSUPP);
	CHECK(strstr(request.reason, "format") != NULL);
	CHECK_ERRNO(attach_device(fd, 0, MORSEL_DEVICE_EDU, &request), EOPNOTSUPP);
	CHECK_ERRNO(attach_device(fd, 9, MORSEL_DEVICE_EDU, &request), ENOENT);
	CHECK_ERRNO(attach_device(fd, vtd, 77, &request), EINVAL);
	request = (struct morsel_device_attach){
		.size = sizeof(request), .view = vtd, .kind = MORSEL_DEVICE_EDU, .device = 0xff,
	};
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_DEVICE, &request), ENOENT);
	pid = fork();
	if (!pid) {
		CHECK_EQ(setuid(1000), 0);
		CHECK_ERRNO(attach_device(fd, vtd, MORSEL_DEVICE_EDU, &request), EPERM);
		_exit(0);
	}
	CHECK_EQ(exit_status_of(pid), 0);
	edu = new_device(fd, vtd, MORSEL_DEVICE_EDU);
	wrong = transfer(MORSEL_EXEC, 0, 8, 0);
	CHECK_ERRNO(ioctl(edu, MORSEL_IOC_DMA, &wrong), EINVAL);
	wrong = transfer(MORSEL_READ, 4, 8, 0);
	CHECK_ERRNO(ioctl(edu, MORSEL_IOC_DMA, &wrong), EINVAL);
	wrong = transfer(MORSEL_READ, 0, 16, 0);
	CHECK_ERRNO(ioctl(edu, MORSEL_IOC_DMA, &wrong), EINVAL);
	wrong = transfer(MORSEL_READ, 1ull << 39, 8, 0);
	CHECK_ERRNO(ioctl(edu, MORSEL_IOC_DMA, &wrong), EINVAL);
	wrong = transfer(MORSEL_READ, 0, 8, 0);
	wrong.flags = 64;
	CHECK_ERRNO(ioctl(edu, MORSEL_IOC_DMA, &wrong), EINVAL);
	close(edu);
	find_edu(config, sizeof(config));
	CHECK(!masters_bus(config));
}

static void a_fill_without_memory_is_an_error(void)
{
	int fd = open_object("dma-memory", MIB(2)), edu = new_device(fd, add_vtd_view(fd), MORSEL_DEVICE_EDU);
	struct morsel_inject rule = {
		.size = sizeof(rule), .point = MORSEL_POINT_alloc, .action = MORSEL_FAULT_FAIL, .view = 0xffffffff,
		.nth = 1, .times = 1000, .interval = 1, .probability = 100,
	};
	struct morsel_dma request = transfer(MORSEL_READ, 0, 8, 0);
	int device = open_device();

	CHECK_EQ(ioctl(device, MORSEL_IOC_INJECT_ADD, &rule), 0);
	CHECK_ERRNO(ioctl(edu, MORSEL_IOC_DMA, &request), ENOMEM);
	CHECK_EQ(ioctl(device, MORSEL_IOC_INJECT_CLEAR, 0), 0);
	CHECK_EQ(edu_read(edu, 0), 0);
}

/* Journal and gate know the filler as an IOMMU's fault. */
static void the_filler_is_an_iommu(void)
{
	int fd = open_object("dma-actor", MIB(2)), edu = new_device(fd, add_vtd_view(fd), MORSEL_DEVICE_EDU), gate, pid;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(2), RW, 0, NULL), 0);
	gate = gate_new(60000);
	CHECK_EQ(gate_stop(gate), 0);
	pid = fork();
	if (!pid) {
		close(gate);
		_exit(edu_read(edu, PAGE) == 0 ? 0 : 1);
	}
	CHECK_EQ(gate_wait_for(gate, pid, 0).kind, MORSEL_ACTOR_IOMMU);
	close(gate);
	CHECK_EQ(exit_status_of(pid), 0);
}

static int attach_lab(struct morsel_device_attach *request)
{
	int device = open_device(), result;

	*request = (struct morsel_device_attach){
		.size = sizeof(*request), .format = MORSEL_FORMAT_VTD_SECOND_STAGE, .kind = MORSEL_DEVICE_EDU,
		.device = MORSEL_DEVICE_ANY,
	};
	result = ioctl(device, MORSEL_IOC_DEVICE_LAB, request);
	close(device);
	return result;
}

/* Theirs, and the IOMMU's tables while one is attached. */
static void devices_and_labs_give_their_pages_back(void)
{
	int fd = open_object("dma-pages", MIB(2)), edu, drive, round;
	unsigned view = add_vtd_view(fd);
	struct morsel_device_attach lab;
	uint64_t one;

	for (round = 0; round < 50; round++) {
		edu = new_device(fd, view, MORSEL_DEVICE_EDU);
		one = counters().own_pages;
		CHECK(one > 0);
		drive = new_device(fd, view, MORSEL_DEVICE_NVME);
		CHECK(counters().own_pages > one);
		CHECK_ERRNO(attach_lab(&lab), EBUSY);
		close(round % 2 ? drive : edu);
		close(round % 2 ? edu : drive);
		CHECK_EQ(counters().own_pages, 0);
		CHECK_EQ(attach_lab(&lab), 0);
		CHECK(counters().own_pages > MORSEL_LAB_BYTES / PAGE);
		close(lab.fd);
		CHECK_EQ(counters().own_pages, 0);
	}
}

/* The device's own pages are there when its lab is refused. */
static void a_lab_without_memory_leaves_nothing(void)
{
	struct morsel_device_attach lab;
	int round;

	limit_memory(MIB(1));
	for (round = 0; round < 20; round++) {
		CHECK_ERRNO(attach_lab(&lab), ENOMEM);
		CHECK_EQ(counters().own_pages, 0);
		CHECK_EQ(attached_devices(), 0);
	}
	lift_memory_limit();
	CHECK_EQ(attach_lab(&lab), 0);
}

const struct test device_tests[] = {
	{ "process_and_device_share_an_object", process_and_device_share_an_object },
	{ "faults_fill_and_tell_what_it_took", faults_fill_and_tell_what_it_took },
	{ "rights_are_the_primarys", rights_are_the_primarys },
	{ "an_access_is_a_dma_of_the_device", an_access_is_a_dma_of_the_device },
	{ "what_was_attached_is_given_back", what_was_attached_is_given_back },
	{ "who_is_killed_gives_its_device_back", who_is_killed_gives_its_device_back },
	{ "wrong_requests_are_refused_in_words", wrong_requests_are_refused_in_words },
	{ "a_fill_without_memory_is_an_error", a_fill_without_memory_is_an_error },
	{ "devices_and_labs_give_their_pages_back", devices_and_labs_give_their_pages_back },
	{ "a_lab_without_memory_leaves_nothing", a_lab_without_memory_leaves_nothing },
	{ "the_filler_is_an_iommu", the_filler_is_an_iommu },
	{ "unbinding_waits_until_the_device_is_given_back", unbinding_waits_until_the_device_is_given_back },
	{ NULL, NULL },
};

const struct test dead_device_tests[] = {
	{ "what_has_stopped_answering_is_kept_off_the_bus", what_has_stopped_answering_is_kept_off_the_bus },
	{ NULL, NULL },
};
