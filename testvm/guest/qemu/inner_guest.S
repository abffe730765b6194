/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest without an operating system, for QEMU on memory that others can see (mailbox.h): QEMU's -kernel loads it by
 * the Multiboot specification 0.6.96 (3.1, 3.2), which leaves it in protected mode with flat segments and no paging.
 */
#include "testvm/guest/qemu/mailbox.h"

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0

	.section .text
	.balign 4
	.long	MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.globl _start
_start:
	cli
	cld
	mov	$MORSEL_MAILBOX, %ebx
	incl	MORSEL_MAILBOX_STARTS(%ebx)
	mov	MORSEL_MAILBOX_REQUEST(%ebx), %eax	/* memory that was kept may hold an old one */
	mov	%eax, MORSEL_MAILBOX_ANSWER(%ebx)
	movl	$MORSEL_MAILBOX_SIGN, MORSEL_MAILBOX_READY(%ebx)
ring:
	out	%al, $MORSEL_DOORBELL_PORT
listen:
	incl	MORSEL_MAILBOX_COUNTER(%ebx)
	pause
	mov	MORSEL_MAILBOX_REQUEST(%ebx), %eax
	cmp	MORSEL_MAILBOX_ANSWER(%ebx), %eax
	je	listen

	mov	MORSEL_MAILBOX_FIRST(%ebx), %esi
	mov	MORSEL_MAILBOX_END(%ebx), %edi
	mov	MORSEL_MAILBOX_VALUE(%ebx), %edx
	mov	MORSEL_MAILBOX_COMMAND(%ebx), %ebp
	xor	%ecx, %ecx
	cmp	$MORSEL_COMMAND_WRITE, %ebp
	je	write
	cmp	$MORSEL_COMMAND_SUM, %ebp
	je	sum
	cmp	$MORSEL_COMMAND_END, %ebp
	je	end
	mov	$MORSEL_COMMAND_UNKNOWN, %ecx
answer:
	mov	%ecx, MORSEL_MAILBOX_RESULT(%ebx)
	mov	%eax, MORSEL_MAILBOX_ANSWER(%ebx)
	jmp	ring

write:
	cmp	%edi, %esi
	jae	answer
	mov	%esi, %ebp
	xor	%edx, %ebp
	mov	%ebp, (%esi)
	inc	%ecx
	add	$4096, %esi
	jmp	write

sum:
	cmp	%edi, %esi
	jae	answer
	add	(%esi), %ecx
	add	$4096, %esi
	jmp	sum

end:
	mov	%dl, %al
	out	%al, $MORSEL_END_PORT
	hlt
	jmp	end
