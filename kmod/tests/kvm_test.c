// SPDX-License-Identifier: GPL-2.0-or-later
/* KVM and the module on the same CPUs: whoever has their virtualisation keeps it, and the other is told so. */
#define _GNU_SOURCE
#include "kmod/tests/kvm_guest.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmod/tests/guest.h"

static const unsigned char read_word[] = { 0x48, 0x8b, 0x03, 0xf4 };	/* mov (%rbx), %rax; hlt */

static void kvm_and_the_module_take_turns(void)
{
	int fd = open_object("kvm-turns", MIB(2)), vcpu, round;
	const unsigned view = add_view(fd, MORSEL_FORMAT_NPT);
	uint64_t *words = (uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE), value;
	struct morsel_vcpu_create request;
	struct kvm_guest guest;
	unsigned result;

	words[1] = 5;
	for (round = 0; round < 3; round++) {
		CHECK_EQ(kvm_guest_start(&guest, words, MIB(2)), 0);
		CHECK_EQ(kvm_guest_run(&guest, read_word, sizeof(read_word), 8, 0), 5);
		CHECK_ERRNO(create_vcpu(fd, view, &request), EBUSY);
		CHECK(strstr(request.reason, "another hypervisor") != NULL);
		CHECK_ERRNO(create_vcpu(fd, 0, &request), EBUSY);
		CHECK_EQ(access_view(fd, view, 8, MORSEL_READ, MORSEL_ACCESS_TOUCH, &value, &result), 0);
		CHECK_EQ(value, 5);	/* by the engine's own walker */
		CHECK_EQ(kvm_guest_run(&guest, read_word, sizeof(read_word), 8, 0), 5);
		kvm_guest_stop(&guest);
		vcpu = new_vcpu(fd, view);
		CHECK_EQ(guest_read(vcpu, 8), 5);
		CHECK_EQ(kvm_guest_start(&guest, words, MIB(2)), EBUSY);
		CHECK_EQ(guest_read(vcpu, 8), 5);
		close(vcpu);
		CHECK_EQ(vcpu_count(), 0);
	}
}

const struct test kvm_tests[] = {
	{ "kvm_and_the_module_take_turns", kvm_and_the_module_take_turns },
	{ NULL, NULL },
};
