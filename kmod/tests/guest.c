// SPDX-License-Identifier: GPL-2.0-or-later
#include "kmod/tests/guest.h"

#include <stdio.h>
#include <sys/ioctl.h>

#define LIMIT_MS 60000			/* of runs that are expected to end by themselves */

int create_vcpu(int fd, unsigned view, struct morsel_vcpu_create *request)
{
	*request = (struct morsel_vcpu_create){ .size = sizeof(*request), .view = view };
	return ioctl(fd, MORSEL_IOC_VCPU, request);
}

int new_vcpu(int fd, unsigned view)
{
	struct morsel_vcpu_create request;

	if (create_vcpu(fd, view, &request))
		printf("# no vCPU: %s\n", request.reason);
	CHECK_EQ(request.walker, MORSEL_WALKER_SVM);
	return request.fd;
}

struct morsel_vcpu_run program(unsigned which, uint64_t offset)
{
	return (struct morsel_vcpu_run){
		.size = sizeof(struct morsel_vcpu_run), .program = which, .offset = offset, .timeout_ms = LIMIT_MS,
		.flags = MORSEL_VCPU_POPULATE,
	};
}

unsigned run(int vcpu, struct morsel_vcpu_run *request)
{
	CHECK_EQ(ioctl(vcpu, MORSEL_IOC_VCPU_RUN, request), 0);
	return request->result;
}

uint64_t guest_read(int vcpu, uint64_t offset)
{
	struct morsel_vcpu_run request = program(MORSEL_VCPU_READ, offset);

	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	return request.value;
}

void guest_write(int vcpu, uint64_t offset, uint64_t value)
{
	struct morsel_vcpu_run request = program(MORSEL_VCPU_WRITE, offset);

	request.value = value;
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
}

struct morsel_vcpu_run run_code(int vcpu, const void *code, size_t bytes, uint64_t rbx)
{
	struct morsel_vcpu_run request = program(MORSEL_VCPU_RUN_CODE, rbx);

	request.code = (uintptr_t)code;
	request.code_bytes = (uint32_t)bytes;
	run(vcpu, &request);
	return request;
}
