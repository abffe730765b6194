/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An option ROM that starts Linux by its PVH entry (Linux Documentation/x86/boot.rst; Xen public/arch-x86/hvm/
 * start_info.h): the host has put kernel and initramfs into the guest's memory before the machine was switched on, so
 * that nothing is read from a disk, nothing copied and nothing decompressed by an emulated CPU. The BIOS calls it in
 * real mode when its own tables (ACPI, SMP) are made; it adds the BIOS's memory map to what the host has prepared.
 *
 * When the machine restarts, the guest's memory is what the kernel made of it: the ROM ends the machine.
 */
#include "testvm/bochs/boot_layout.h"

#define LINEAR(label) (MORSEL_BOOT_ROM_AT + (label) - morsel_boot_rom)
#define SMAP 0x534d4150
#define BOCHS_SHUTDOWN_PORT 0x8900

	.section .rodata
	.globl morsel_boot_rom
	.balign 16
	.code16
morsel_boot_rom:
	.byte	0x55, 0xaa, MORSEL_BOOT_ROM_BYTES / 512
	cli
	cld
	mov	$(MORSEL_BOOT_PAGE >> 4), %ax
	mov	%ax, %ds
	mov	%ax, %es
	xor	%ecx, %ecx
	xchg	%ecx, MORSEL_BOOT_ENTRY
	jecxz	restarted
	push	%ecx

	/* The memory map (ACPI specification, 15.1): 20 bytes each, into entries of 24 that are zero. */
	xor	%ebx, %ebx
	xor	%bp, %bp
	mov	$MORSEL_BOOT_MAP, %di
next_range:
	mov	$0xe820, %eax
	mov	$SMAP, %edx
	mov	$20, %ecx
	int	$0x15
	jc	map_done
	cmp	$SMAP, %eax
	jne	map_done
	inc	%bp
	add	$MORSEL_BOOT_MAP_ENTRY_BYTES, %di
	cmp	$MORSEL_BOOT_MAP_MAX, %bp
	jae	map_done
	test	%ebx, %ebx
	jnz	next_range
map_done:
	mov	%bp, MORSEL_BOOT_MAP_ENTRIES
	pop	%ecx

	cli
	in	$0x92, %al	/* address line 20 on, and no reset (bit 0) */
	or	$2, %al
	and	$0xfe, %al
	out	%al, $0x92
	lgdtl	%cs:(descriptors_pointer - morsel_boot_rom)
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$8, $LINEAR(protected_mode)

	/* Bochs ends when it is told so letter by letter. */
restarted:
	mov	$(shutdown_word - morsel_boot_rom), %si
	mov	$BOCHS_SHUTDOWN_PORT, %dx
next_letter:
	lodsb	%cs:(%si), %al
	out	%al, %dx
	test	%al, %al
	jnz	next_letter
	hlt
shutdown_word:
	.asciz	"Shutdown"

	.code32
protected_mode:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$(MORSEL_BOOT_PAGE + MORSEL_BOOT_START_INFO), %ebx
	jmp	*%ecx

	.balign 8
descriptors:
	.quad	0
	.quad	0x00cf9a000000ffff	/* 8: code, flat */
	.quad	0x00cf92000000ffff	/* 16: data, flat */
descriptors_pointer:
	.word	3 * 8 - 1
	.long	LINEAR(descriptors)

	/* The last byte makes the sum of all zero; the host sets it. */
	.org	morsel_boot_rom + MORSEL_BOOT_ROM_BYTES, 0

	.section .note.GNU-stack, "", @progbits
