/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * The one list of all requests, for who goes through them: X(name after MORSEL_IOC_, its structure, what it is asked
 * of, where its reserved field stands). Number and size are in the request itself (_IOC_NR, _IOC_SIZE). A test compares
 * the list with the headers (engine/abi/tests/abi_test.cpp).
 */
#ifndef MORSEL_REQUESTS_H
#define MORSEL_REQUESTS_H

#include "engine/abi/morsel_device.h"
#include "engine/abi/morsel_ioctl.h"
#include "engine/abi/morsel_vcpu.h"

/* What a request's descriptor is of. */
enum morsel_request_target {
	MORSEL_OF_MODULE = 0,		/* /dev/morsel */
	MORSEL_OF_OBJECT = 1,		/* an object's file */
	MORSEL_OF_VCPU = 2,
	MORSEL_OF_DEVICE = 3,		/* attached to a view, or to a lab */
};

struct morsel_no_structure;		/* the argument is 0 */
#define MORSEL_NO_FIELD 0		/* a structure begins with its size */
#define MORSEL_RESERVED(structure) __builtin_offsetof(struct structure, reserved)

#define MORSEL_REQUESTS(X)                                                                          \
	X(VERSION, morsel_version, MODULE, MORSEL_NO_FIELD)                                         \
	X(CREATE, morsel_create, MODULE, MORSEL_RESERVED(morsel_create))                            \
	X(COUNTERS, morsel_counters, MODULE, MORSEL_RESERVED(morsel_counters))                      \
	X(INJECT_ADD, morsel_inject, MODULE, MORSEL_RESERVED(morsel_inject))                        \
	X(INJECT_LIST, morsel_inject, MODULE, MORSEL_RESERVED(morsel_inject))                       \
	X(INJECT_CLEAR, morsel_no_structure, MODULE, MORSEL_NO_FIELD)                               \
	X(LIST, morsel_list, MODULE, MORSEL_RESERVED(morsel_list))                                  \
	X(IDLE, morsel_no_structure, MODULE, MORSEL_NO_FIELD)                                       \
	X(JOURNAL, morsel_journal_switch, MODULE, MORSEL_NO_FIELD)                                  \
	X(GATE, morsel_gate, MODULE, MORSEL_NO_FIELD)                                               \
	X(GATE_STOP, morsel_no_structure, MODULE, MORSEL_NO_FIELD)                                  \
	X(GATE_RUN, morsel_no_structure, MODULE, MORSEL_NO_FIELD)                                   \
	X(GATE_STEP, morsel_gate_step, MODULE, MORSEL_NO_FIELD)                                     \
	X(GATE_UNTIL, morsel_gate_until, MODULE, MORSEL_RESERVED(morsel_gate_until))                \
	X(GATE_ACTORS, morsel_gate_actors, MODULE, MORSEL_RESERVED(morsel_gate_actors))             \
	X(INJECT_FIRED, morsel_fired, MODULE, MORSEL_NO_FIELD)                                      \
	X(VCPU_LAB, morsel_vcpu_create, MODULE, MORSEL_NO_FIELD)                                    \
	X(VCPU_STATE, morsel_vcpu_state, MODULE, MORSEL_NO_FIELD)                                   \
	X(DEVICE_STATE, morsel_device_state, MODULE, MORSEL_NO_FIELD)                               \
	X(DEVICE_LAB, morsel_device_attach, MODULE, MORSEL_NO_FIELD)                                \
	X(INFO, morsel_info, OBJECT, MORSEL_RESERVED(morsel_info))                                  \
	X(POPULATE, morsel_range, OBJECT, MORSEL_RESERVED(morsel_range))                            \
	X(UNMAP, morsel_range, OBJECT, MORSEL_RESERVED(morsel_range))                               \
	X(PROTECT, morsel_range, OBJECT, MORSEL_RESERVED(morsel_range))                             \
	X(VIEW_ADD, morsel_view_add, OBJECT, MORSEL_RESERVED(morsel_view_add))                      \
	X(VIEW_DROP, morsel_view_drop, OBJECT, MORSEL_NO_FIELD)                                     \
	X(ACCESS, morsel_access, OBJECT, MORSEL_NO_FIELD)                                           \
	X(MAP_VIEW, morsel_map_view, OBJECT, MORSEL_NO_FIELD)                                       \
	X(SETTLE, morsel_no_structure, OBJECT, MORSEL_NO_FIELD)                                     \
	X(SPLIT, morsel_range, OBJECT, MORSEL_RESERVED(morsel_range))                               \
	X(MERGE, morsel_range, OBJECT, MORSEL_RESERVED(morsel_range))                               \
	X(MIGRATE, morsel_range, OBJECT, MORSEL_RESERVED(morsel_range))                             \
	X(HARVEST, morsel_harvest, OBJECT, MORSEL_RESERVED(morsel_harvest))                         \
	X(RANGES, morsel_ranges, OBJECT, MORSEL_NO_FIELD)                                           \
	X(VCPU, morsel_vcpu_create, OBJECT, MORSEL_NO_FIELD)                                        \
	X(DEVICE, morsel_device_attach, OBJECT, MORSEL_NO_FIELD)                                    \
	X(VCPU_RUN, morsel_vcpu_run, VCPU, MORSEL_NO_FIELD)                                         \
	X(DMA, morsel_dma, DEVICE, MORSEL_RESERVED(morsel_dma))                                     \
	X(DEVICE_INVALIDATE, morsel_device_invalidate, DEVICE, MORSEL_NO_FIELD)

#endif /* MORSEL_REQUESTS_H */
