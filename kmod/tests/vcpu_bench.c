// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the module's virtual CPUs cost, medians:
 *   a violation for a page that is already there, until the guest goes on, against KVM's: the same program in the same
 *   mode, one violation for each 4-KiB page. KVM has the pages in a memfd, the module in the primary, under an empty
 *   view of the format that the CPU walks. They take turns, because each needs the CPUs' virtualisation for itself.
 *   What the program costs without violations is subtracted on both sides;
 *   where the CPU walks the primary's format: mapping a populated object into the guest by attaching the primary,
 *   against faulting in its pages through a view, one by one, and against the same for a smaller object.
 * KVM's modules are not in the usual image: vm up --load kvm-amd, or vm up --machine bochs --load kvm-intel.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/abi/morsel_vcpu.h"
#include "kmod/tests/kvm_guest.h"
#include "kmod/tests/measure.h"

#define TOUCHED_BYTES (32ul << 20)
#define TOUCHED_PAGES (TOUCHED_BYTES / PAGE)
#define TURNS 9
#define SMALL_BYTES (64ul << 20)
#define ATTACHED_ROUNDS 101
#define FAULTED_ROUNDS 3
#define PRIMARY 0

/* 1: mov (%rbx), %rax; add $4096, %rbx; cmp %rcx, %rbx; jb 1b */
#define TOUCH_PAGES 0x48, 0x8b, 0x03, 0x48, 0x81, 0xc3, 0x00, 0x10, 0x00, 0x00, 0x48, 0x39, 0xcb, 0x72, 0xf1
static const unsigned char until_hlt[] = { TOUCH_PAGES, 0xf4 };

/* The format that this CPU walks. */
static const struct walker {
	unsigned format;
	const char *violations;
} walkers[] = {
	{ MORSEL_FORMAT_NPT, "violation of a vCPU until it goes on, against KVM's" },
	{ MORSEL_FORMAT_EPT, "violation of a vCPU by EPT until it goes on, against KVM's" },
};
static const struct walker *walker;
static unsigned char until_end[] = { TOUCH_PAGES, 0, 0, 0 };

static int new_vcpu(int object, unsigned view)
{
	struct morsel_vcpu_create request = { .size = sizeof(request), .view = view };

	if (ioctl(object, MORSEL_IOC_VCPU, &request))
		die(request.reason);
	return request.fd;
}

static void find_walker(void)
{
	const int device = open("/dev/morsel", O_RDWR | O_CLOEXEC);
	struct morsel_vcpu_create lab = { .reason = "" };
	size_t i;
	int k;

	for (i = 0; !walker && i < sizeof(walkers) / sizeof(walkers[0]); i++) {
		lab = (struct morsel_vcpu_create){ .size = sizeof(lab), .format = walkers[i].format };
		if (!ioctl(device, MORSEL_IOC_VCPU_LAB, &lab))
			walker = &walkers[i];
	}
	close(device);
	if (!walker)
		die(lab.reason);
	close(lab.fd);
	for (k = 0; k < MORSEL_VCPU_ENDING_BYTES; k++)
		until_end[sizeof(until_end) - MORSEL_VCPU_ENDING_BYTES + k] = (unsigned char)(lab.ending >> 8 * k);
}

static unsigned add_view(int object)
{
	struct morsel_view_add request = { .size = sizeof(request), .format = walker->format };

	if (ioctl(object, MORSEL_IOC_VIEW_ADD, &request))
		die("MORSEL_IOC_VIEW_ADD");
	return request.view;
}

static void drop_view(int object, unsigned view)
{
	struct morsel_view_drop request = { .size = sizeof(request), .view = view };

	if (ioctl(object, MORSEL_IOC_VIEW_DROP, &request))
		die("MORSEL_IOC_VIEW_DROP");
}

static void expect(const char *what, uint64_t found, uint64_t expected)
{
	if (found == expected)
		return;
	fprintf(stderr, "%s: %llu, not %llu\n", what, (unsigned long long)found, (unsigned long long)expected);
	exit(1);
}

static void run_vcpu(int vcpu, struct morsel_vcpu_run *run, uint64_t violations)
{
	run->size = sizeof(*run);
	if (ioctl(vcpu, MORSEL_IOC_VCPU_RUN, run))
		die("MORSEL_IOC_VCPU_RUN");
	expect("result of the vCPU's run", run->result, MORSEL_VCPU_DONE);
	expect("its violations", run->violations, violations);
}

static double touch_by_vcpu(int vcpu, size_t bytes, uint64_t violations)
{
	struct morsel_vcpu_run run = {
		.program = MORSEL_VCPU_RUN_CODE, .expected = bytes, .code = (uintptr_t)until_end,
		.code_bytes = sizeof(until_end),
	};
	const double start = now_ms();

	run_vcpu(vcpu, &run, violations);
	return now_ms() - start;
}

static double violations_of_module(int object)
{
	const unsigned view = add_view(object);
	const int vcpu = new_vcpu(object, view);
	double spent = touch_by_vcpu(vcpu, TOUCHED_BYTES, TOUCHED_PAGES);

	spent -= touch_by_vcpu(vcpu, TOUCHED_BYTES, 0);
	close(vcpu);
	drop_view(object, view);
	return spent;
}

static double touch_by_kvm(struct kvm_guest *guest, uint64_t violations)
{
	const uint64_t before = kvm_guest_violations(guest);
	const double start = now_ms();
	double spent;

	kvm_guest_run(guest, until_hlt, sizeof(until_hlt), 0, TOUCHED_BYTES);
	spent = now_ms() - start;
	expect("violations of KVM's guest", kvm_guest_violations(guest) - before, violations);
	return spent;
}

static double violations_of_kvm(void *memory)
{
	struct kvm_guest guest;
	double spent;

	expect("errno of KVM", (uint64_t)kvm_guest_start(&guest, memory, TOUCHED_BYTES), 0);
	kvm_guest_run(&guest, until_hlt, sizeof(until_hlt), TOUCHED_BYTES - PAGE, TOUCHED_BYTES);
	spent = touch_by_kvm(&guest, TOUCHED_PAGES - 1);	/* the guest's own pages are there by now */
	spent -= touch_by_kvm(&guest, 0);
	kvm_guest_stop(&guest);
	return spent * TOUCHED_PAGES / (TOUCHED_PAGES - 1);
}

static void compare_violations(int object)
{
	double module[TURNS], kvm[TURNS];
	int memfd = memfd_create("baseline", MFD_CLOEXEC), i;
	void *memory;

	if (memfd < 0 || ftruncate(memfd, TOUCHED_BYTES))
		die("memfd");
	write_pages(memfd, TOUCHED_BYTES);
	memory = mmap(NULL, TOUCHED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memfd, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	for (i = 0; i < TURNS; i++) {
		module[i] = violations_of_module(object) * 1e3 / TOUCHED_PAGES;
		kvm[i] = violations_of_kvm(memory) * 1e3 / TOUCHED_PAGES;
	}
	munmap(memory, TOUCHED_BYTES);
	close(memfd);
	report(walker->violations, "us", median(module, TURNS), median(kvm, TURNS), 0);
}

static double attach(int object)
{
	struct morsel_vcpu_run run = { .program = MORSEL_VCPU_READ, .offset = SMALL_BYTES - PAGE };
	const double start = now_ms();
	const int vcpu = new_vcpu(object, PRIMARY);
	double spent;

	run_vcpu(vcpu, &run, 0);
	spent = now_ms() - start;
	close(vcpu);
	return spent;
}

static double fault_in(int object, size_t bytes)
{
	double times[FAULTED_ROUNDS];
	int i;

	for (i = 0; i < FAULTED_ROUNDS; i++) {
		const unsigned view = add_view(object);
		const double start = now_ms();
		const int vcpu = new_vcpu(object, view);

		touch_by_vcpu(vcpu, bytes, bytes / PAGE);
		times[i] = now_ms() - start;
		close(vcpu);
		drop_view(object, view);
	}
	return median(times, FAULTED_ROUNDS);
}

static void compare_attachments(int small, int object)
{
	const int on = new_vcpu(small, PRIMARY);	/* switching virtualisation on is no part of mapping */
	double attached[ATTACHED_ROUNDS], small_attached[ATTACHED_ROUNDS], typical;
	int i;

	for (i = 0; i < ATTACHED_ROUNDS; i++) {
		small_attached[i] = attach(small);
		attached[i] = attach(object);
	}
	typical = median(attached, ATTACHED_ROUNDS);
	report("attach 1 GiB to a vCPU, against faulting in its pages", "ms", typical, fault_in(object, GIB), 500);
	report("attach 1 GiB to a vCPU, against 64 MiB", "ms", typical, median(small_attached, ATTACHED_ROUNDS), 0);
	close(on);
}

int main(void)
{
	const int small = new_object("/morsel/small-bench", SMALL_BYTES);

	find_walker();
	compare_violations(small);
	if (walker->format == MORSEL_FORMAT_NPT)
		compare_attachments(small, new_object("/morsel/bench", GIB));
	unlink("/morsel/bench");
	unlink("/morsel/small-bench");
	return 0;
}
