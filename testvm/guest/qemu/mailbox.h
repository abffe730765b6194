/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the inner guest and whoever has its memory mapped say to each other, and where in that memory: for assembler and
 * C++. A word is 32 bits at the offset of a 64-bit one, so that both widths can be read and written.
 *
 * Whoever asks writes command, first, end and value, and then another number into the request; the inner guest does it,
 * writes the result, and then that number into the answer.
 */
#ifndef MORSEL_MAILBOX_H
#define MORSEL_MAILBOX_H

#define MORSEL_MAILBOX 0x200000		/* physical address in the inner guest */

#define MORSEL_MAILBOX_READY 0x00	/* MORSEL_MAILBOX_SIGN from when the inner guest listens */
#define MORSEL_MAILBOX_REQUEST 0x08
#define MORSEL_MAILBOX_COMMAND 0x10
#define MORSEL_MAILBOX_FIRST 0x18	/* of the range, one word a page */
#define MORSEL_MAILBOX_END 0x20		/* excluded */
#define MORSEL_MAILBOX_VALUE 0x28
#define MORSEL_MAILBOX_ANSWER 0x30
#define MORSEL_MAILBOX_RESULT 0x38
#define MORSEL_MAILBOX_COUNTER 0x40	/* grows while the inner guest waits */
#define MORSEL_MAILBOX_STARTS 0x48	/* how often an inner guest has started in this memory */

#define MORSEL_MAILBOX_SIGN 0x6d727367

#define MORSEL_COMMAND_WRITE 1		/* each page's address, xor value; result: pages */
#define MORSEL_COMMAND_SUM 2		/* result: the sum of the words */
#define MORSEL_COMMAND_END 3		/* the machine ends with the status value * 2 + 1 */
#define MORSEL_COMMAND_UNKNOWN 0xffffffff	/* the result of any other */

#define MORSEL_DOORBELL_PORT 0xe9	/* a byte there for each answer: QEMU passes it on (isa-debugcon) */
#define MORSEL_END_PORT 0xf4		/* isa-debug-exit */

#endif /* MORSEL_MAILBOX_H */
