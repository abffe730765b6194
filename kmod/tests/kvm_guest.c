// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include "kmod/tests/kvm_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul
#define GIB (1ul << 30)
#define OWN (3 * GIB)			/* where the guest's own pages are */

enum own_page { OWN_CODE, OWN_PML4, OWN_PDPT, OWN_PAGES };

/* APM volume 2, 5.3.3: P, R/W, U/S, A; and D, PS. As in kmod/vcpu_guest.c. */
#define TABLE 0x27ull
#define LEAF 0xe7ull
/* 3.1.1, 3.1.3, 3.1.7 */
#define CR0_PE_NE_PG 0x80000021ull
#define CR4_PAE 0x20ull
#define EFER_LME_LMA 0x500ull

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t *own_page(const struct kvm_guest *guest, enum own_page page)
{
	return (uint64_t *)((char *)guest->own + page * PAGE);
}

static void set_memory(const struct kvm_guest *guest, unsigned slot, uint64_t at, void *memory, size_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .guest_phys_addr = at, .memory_size = bytes, .userspace_addr = (uintptr_t)memory,
	};

	if (ioctl(guest->vm, KVM_SET_USER_MEMORY_REGION, &region))
		die("KVM_SET_USER_MEMORY_REGION");
}

static void write_tables(const struct kvm_guest *guest)
{
	uint64_t i;

	own_page(guest, OWN_PML4)[0] = (OWN + OWN_PDPT * PAGE) | TABLE;
	for (i = 0; i < 4; i++)
		own_page(guest, OWN_PDPT)[i] = i * GIB | LEAF;
}

static void enter_long_mode(const struct kvm_guest *guest)
{
	struct kvm_sregs state;

	if (ioctl(guest->vcpu, KVM_GET_SREGS, &state))
		die("KVM_GET_SREGS");
	state.cr0 = CR0_PE_NE_PG;
	state.cr3 = OWN + OWN_PML4 * PAGE;
	state.cr4 = CR4_PAE;
	state.efer = EFER_LME_LMA;
	state.cs = (struct kvm_segment){ .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1,
					 .limit = 0xffffffff };
	state.ds = state.es = state.ss = (struct kvm_segment){ .selector = 16, .type = 3, .present = 1, .s = 1,
							       .db = 1, .g = 1, .limit = 0xffffffff };
	if (ioctl(guest->vcpu, KVM_SET_SREGS, &state))
		die("KVM_SET_SREGS");
}

static void map_run(struct kvm_guest *guest, int kvm)
{
	const int bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	guest->run = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, guest->vcpu, 0);
	if (bytes < 0 || guest->run == MAP_FAILED)
		die("memory of KVM's vCPU");
	guest->run_bytes = (size_t)bytes;
}

int kvm_guest_start(struct kvm_guest *guest, void *memory, size_t bytes)
{
	const int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		die("/dev/kvm (is the VM's kernel without kvm-amd? vm up --load kvm-amd)");
	guest->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (guest->vm < 0) {
		const int error = errno;

		close(kvm);
		return error;
	}
	guest->own = mmap(NULL, OWN_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (guest->own == MAP_FAILED)
		die("mmap");
	set_memory(guest, 0, 0, memory, bytes);
	set_memory(guest, 1, OWN, guest->own, OWN_PAGES * PAGE);
	write_tables(guest);
	guest->vcpu = ioctl(guest->vm, KVM_CREATE_VCPU, 0);
	if (guest->vcpu < 0)
		die("KVM_CREATE_VCPU");
	map_run(guest, kvm);
	enter_long_mode(guest);
	close(kvm);
	return 0;
}

void kvm_guest_stop(struct kvm_guest *guest)
{
	munmap(guest->run, guest->run_bytes);
	munmap(guest->own, OWN_PAGES * PAGE);
	close(guest->vcpu);
	close(guest->vm);
}

uint64_t kvm_guest_run(struct kvm_guest *guest, const void *code, size_t bytes, uint64_t rbx, uint64_t rcx)
{
	struct kvm_regs registers = { .rip = OWN + OWN_CODE * PAGE, .rflags = 2, .rbx = rbx, .rcx = rcx };

	memcpy(own_page(guest, OWN_CODE), code, bytes);
	if (ioctl(guest->vcpu, KVM_SET_REGS, &registers) || ioctl(guest->vcpu, KVM_RUN, 0))
		die("KVM_RUN");
	if (guest->run->exit_reason != KVM_EXIT_HLT) {
		fprintf(stderr, "the guest of KVM ended for reason %u, not by hlt\n", guest->run->exit_reason);
		exit(1);
	}
	if (ioctl(guest->vcpu, KVM_GET_REGS, &registers))
		die("KVM_GET_REGS");
	return registers.rax;
}

static void read_at(int fd, void *to, size_t bytes, uint64_t offset)
{
	if (pread(fd, to, bytes, (off_t)offset) != (ssize_t)bytes)
		die("KVM's statistics");
}

/* Documentation/virt/kvm/api.rst, 4.134: a header, descriptors with their names, and values. */
uint64_t kvm_guest_violations(const struct kvm_guest *guest)
{
	const int fd = ioctl(guest->vcpu, KVM_GET_STATS_FD, 0);
	struct kvm_stats_header header;
	struct kvm_stats_desc described;
	uint64_t value = 0;
	char name[64] = "";
	uint32_t i;

	if (fd < 0)
		die("KVM_GET_STATS_FD");
	read_at(fd, &header, sizeof(header), 0);
	for (i = 0; i < header.num_desc && strcmp(name, "pf_fixed"); i++) {
		const uint64_t at = header.desc_offset + i * (sizeof(described) + header.name_size);

		read_at(fd, &described, sizeof(described), at);
		read_at(fd, name, header.name_size < sizeof(name) ? header.name_size : sizeof(name),
			at + sizeof(described));
	}
	if (strcmp(name, "pf_fixed")) {
		fprintf(stderr, "KVM has no statistics of name pf_fixed\n");
		exit(1);
	}
	read_at(fd, &value, sizeof(value), header.data_offset + described.offset);
	close(fd);
	return value;
}
