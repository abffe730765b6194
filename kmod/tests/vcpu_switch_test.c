// SPDX-License-Identifier: GPL-2.0-or-later
/* The CPUs' virtualisation: on while there is a virtual CPU, and other hypervisors' between. */
#define _GNU_SOURCE
#include "kmod/tests/spinner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EFER 0xc0000080
#define EFER_SVME (1ull << 12)

/* As another hypervisor would, on one CPU. */
static void set_svme(int cpu, int on)
{
	char path[32];
	uint64_t efer;
	int msr;

	snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
	msr = open(path, O_RDWR | O_CLOEXEC);
	CHECK(msr >= 0);
	CHECK_EQ(pread(msr, &efer, sizeof(efer), EFER), sizeof(efer));
	CHECK_EQ(!!(efer & EFER_SVME), !on);	/* off while there is no vCPU */
	efer ^= EFER_SVME;
	CHECK_EQ(pwrite(msr, &efer, sizeof(efer), EFER), sizeof(efer));
	close(msr);
}

/* A guest of kvm's, which takes the virtualisation of all CPUs for it; closed, it gives them back. */
static int kvm_guest(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), guest;

	CHECK(kvm >= 0);
	guest = ioctl(kvm, KVM_CREATE_VM, 0);
	close(kvm);
	return guest;
}

static void refused_because_of_another_hypervisor(int fd, unsigned view)
{
	struct morsel_access access = {
		.size = sizeof(access), .view = view, .rights = MORSEL_READ,
		.flags = MORSEL_ACCESS_TOUCH | MORSEL_ACCESS_POPULATE,
	};
	struct morsel_vcpu_create request;

	CHECK_ERRNO(create_vcpu(fd, view, &request), EBUSY);
	CHECK(strstr(request.reason, "another hypervisor") != NULL);
	CHECK_EQ(vcpu_count(), 0);
	CHECK_EQ(ioctl(fd, MORSEL_IOC_ACCESS, &access), 0);	/* the module works on */
	CHECK_EQ(access.walker, MORSEL_WALKER_ENGINE);
}

static void svm_takes_turns(int fd, unsigned view)
{
	int last = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1, vcpu;

	set_svme(last, 1);
	refused_because_of_another_hypervisor(fd, view);
	set_svme(last, 0);
	vcpu = new_vcpu(fd, view);
	CHECK_EQ(guest_read(vcpu, 0), 0);
	close(vcpu);
	set_svme(last, 1);	/* off again on every CPU */
	set_svme(last, 0);
	set_svme(0, 1);
	set_svme(0, 0);
}

/* Nothing but a hypervisor can set CR4.VMXE: kvm-intel is loaded by whoever runs this. */
static void vmx_takes_turns(int fd, unsigned view)
{
	int other = kvm_guest(), vcpu;

	CHECK(other >= 0);
	refused_because_of_another_hypervisor(fd, view);
	close(other);
	vcpu = new_vcpu(fd, view);
	CHECK_ERRNO(kvm_guest(), EBUSY);
	CHECK_EQ(guest_read(vcpu, 0), 0);
	close(vcpu);
	other = kvm_guest();	/* off again on every CPU */
	CHECK(other >= 0);
	close(other);
}

static void another_hypervisor_has_its_turn(void)
{
	int fd = open_object("guest-turn", MIB(2));
	unsigned view = add_walked_view(fd);

	if (hardware()->walker == MORSEL_WALKER_VMX)
		vmx_takes_turns(fd, view);
	else
		svm_takes_turns(fd, view);
}

static void the_module_cannot_be_unloaded_under_a_guest(void)
{
	struct morsel_vcpu_create lab = { .size = sizeof(lab), .format = hardware()->format };
	int device = open_device();
	const long before = module_references();

	CHECK_EQ(ioctl(device, MORSEL_IOC_VCPU_LAB, &lab), 0);
	CHECK_EQ(module_references(), before + 1);
	CHECK_EQ(vcpu_count(), 1);
	CHECK_ERRNO(syscall(SYS_delete_module, "morsel", O_NONBLOCK), EAGAIN);
	close(lab.fd);
	CHECK_EQ(module_references(), before);
	CHECK_EQ(vcpu_count(), 0);
}

/* And the guest goes on. */
static void nor_under_one_that_runs(void)
{
	int fd = open_object("guest-unload", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd));
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	struct spinner spinner;
	int i;

	start_waiting_on(1, &spinner, vcpu, words, 1);
	for (i = 0; i < 20; i++)
		CHECK_ERRNO(syscall(SYS_delete_module, "morsel", O_NONBLOCK), EAGAIN);
	words[0] = 1;
	join_spinner(&spinner);
	CHECK_EQ(guest_read(vcpu, 8), 1);
}

static void set_system(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, value, strlen(value)), strlen(value));
	close(fd);
}

static long sleep_now(void)
{
	int fd = open("/sys/power/state", O_WRONLY | O_CLOEXEC);
	long result;

	CHECK(fd >= 0);
	result = write(fd, "freeze", strlen("freeze"));
	close(fd);
	return result;
}

/* It is only rehearsed: up to the freezing of all processes, and back at once. */
static void the_machine_sleeps_without_guests_only(void)
{
	int fd = open_object("guest-sleep", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd));

	set_system("/sys/power/pm_test", "freezer");
	set_system("/sys/module/suspend/parameters/pm_test_delay", "0");
	CHECK_ERRNO(sleep_now(), EBUSY);
	CHECK_EQ(guest_read(vcpu, 0), 0);
	CHECK_EQ(vcpu_count(), 1);
	close(vcpu);
	CHECK(sleep_now() > 0);
	CHECK_EQ(guest_read(new_vcpu(fd, 1), 0), 0);	/* it has woken up */
	set_system("/sys/power/pm_test", "none");
}

const struct test vcpu_switch_tests[] = {
	{ "another_hypervisor_has_its_turn", another_hypervisor_has_its_turn },
	{ "the_module_cannot_be_unloaded_under_a_guest", the_module_cannot_be_unloaded_under_a_guest },
	{ "nor_under_one_that_runs", nor_under_one_that_runs },
	{ "the_machine_sleeps_without_guests_only", the_machine_sleeps_without_guests_only },
	{ NULL, NULL },
};
