/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Short forms of the requests for devices behind an IOMMU. */
#ifndef MORSEL_KMOD_TESTS_DMA_H
#define MORSEL_KMOD_TESTS_DMA_H

#include "engine/abi/morsel_device.h"
#include "kmod/tests/check.h"

#define BLOCK 512

/* As the request answers. */
int attach_device(int fd, unsigned view, unsigned kind, struct morsel_device_attach *request);
int new_device(int fd, unsigned view, unsigned kind);
unsigned attached_devices(void);
/* A transfer that fills and populates. `operation` is the device's: MORSEL_READ of the object, or MORSEL_WRITE. */
struct morsel_dma transfer(unsigned operation, uint64_t offset, uint64_t bytes, uint64_t block);
unsigned dma(int device, struct morsel_dma *request);	/* its result */
/* With an NVMe drive, of `bytes` at `offset`. */
void to_drive(int drive, uint64_t offset, uint64_t bytes, uint64_t block);
void from_drive(int drive, uint64_t offset, uint64_t bytes, uint64_t block);

#endif /* MORSEL_KMOD_TESTS_DMA_H */
