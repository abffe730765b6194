// SPDX-License-Identifier: GPL-2.0-or-later
#include "kmod/tests/dma.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int attach_device(int fd, unsigned view, unsigned kind, struct morsel_device_attach *request)
{
	*request = (struct morsel_device_attach){
		.size = sizeof(*request), .view = view, .kind = kind, .device = MORSEL_DEVICE_ANY,
	};
	return ioctl(fd, MORSEL_IOC_DEVICE, request);
}

int new_device(int fd, unsigned view, unsigned kind)
{
	struct morsel_device_attach request;

	if (attach_device(fd, view, kind, &request))
		printf("# no device: %s\n", request.reason);
	CHECK_EQ(request.walker, MORSEL_WALKER_VTD);
	return request.fd;
}

unsigned attached_devices(void)
{
	struct morsel_device_state state = { .size = sizeof(state) };
	int device = open_device();

	CHECK_EQ(ioctl(device, MORSEL_IOC_DEVICE_STATE, &state), 0);
	close(device);
	return state.attached;
}

struct morsel_dma transfer(unsigned operation, uint64_t offset, uint64_t bytes, uint64_t block)
{
	return (struct morsel_dma){
		.size = sizeof(struct morsel_dma), .operation = operation, .offset = offset, .bytes = bytes,
		.block = block, .flags = MORSEL_DMA_POPULATE,
	};
}

unsigned dma(int device, struct morsel_dma *request)
{
	CHECK_EQ(ioctl(device, MORSEL_IOC_DMA, request), 0);
	return request->result;
}

void to_drive(int drive, uint64_t offset, uint64_t bytes, uint64_t block)
{
	struct morsel_dma request = transfer(MORSEL_READ, offset, bytes, block);

	CHECK_EQ(dma(drive, &request), MORSEL_DMA_DONE);
}

void from_drive(int drive, uint64_t offset, uint64_t bytes, uint64_t block)
{
	struct morsel_dma request = transfer(MORSEL_WRITE, offset, bytes, block);

	CHECK_EQ(dma(drive, &request), MORSEL_DMA_DONE);
}
