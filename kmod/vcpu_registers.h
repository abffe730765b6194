/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's general registers, which no hardware switches, for the code that enters and leaves guest mode: rdi points
 * to a structure that has them as its member `guest`.
 */
#ifndef MORSEL_KMOD_VCPU_REGISTERS_H
#define MORSEL_KMOD_VCPU_REGISTERS_H

#include <linux/stddef.h>
#include <linux/types.h>

/* rsp is switched by all hardware, rax by some. */
struct morsel_general_registers {
	u64 rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
};

/* rdi comes last: it points to the others. */
#define MORSEL_LOAD_REGISTERS			\
	"mov %c[rbx](%%rdi), %%rbx\n\t"		\
	"mov %c[rcx](%%rdi), %%rcx\n\t"		\
	"mov %c[rdx](%%rdi), %%rdx\n\t"		\
	"mov %c[rsi](%%rdi), %%rsi\n\t"		\
	"mov %c[rbp](%%rdi), %%rbp\n\t"		\
	"mov %c[r8](%%rdi), %%r8\n\t"		\
	"mov %c[r9](%%rdi), %%r9\n\t"		\
	"mov %c[r10](%%rdi), %%r10\n\t"		\
	"mov %c[r11](%%rdi), %%r11\n\t"		\
	"mov %c[r12](%%rdi), %%r12\n\t"		\
	"mov %c[r13](%%rdi), %%r13\n\t"		\
	"mov %c[r14](%%rdi), %%r14\n\t"		\
	"mov %c[r15](%%rdi), %%r15\n\t"		\
	"mov %c[rdi](%%rdi), %%rdi\n\t"

/* All but rdi, which points to them again; the guest's is saved by whoever has put that there. */
#define MORSEL_SAVE_REGISTERS			\
	"mov %%rbx, %c[rbx](%%rdi)\n\t"		\
	"mov %%rcx, %c[rcx](%%rdi)\n\t"		\
	"mov %%rdx, %c[rdx](%%rdi)\n\t"		\
	"mov %%rsi, %c[rsi](%%rdi)\n\t"		\
	"mov %%rbp, %c[rbp](%%rdi)\n\t"		\
	"mov %%r8, %c[r8](%%rdi)\n\t"		\
	"mov %%r9, %c[r9](%%rdi)\n\t"		\
	"mov %%r10, %c[r10](%%rdi)\n\t"		\
	"mov %%r11, %c[r11](%%rdi)\n\t"		\
	"mov %%r12, %c[r12](%%rdi)\n\t"		\
	"mov %%r13, %c[r13](%%rdi)\n\t"		\
	"mov %%r14, %c[r14](%%rdi)\n\t"		\
	"mov %%r15, %c[r15](%%rdi)\n\t"

#define MORSEL_REGISTER_OFFSETS(type)								\
	[rbx] "i"(offsetof(type, guest.rbx)), [rcx] "i"(offsetof(type, guest.rcx)),		\
	[rdx] "i"(offsetof(type, guest.rdx)), [rsi] "i"(offsetof(type, guest.rsi)),		\
	[rdi] "i"(offsetof(type, guest.rdi)), [rbp] "i"(offsetof(type, guest.rbp)),		\
	[r8] "i"(offsetof(type, guest.r8)), [r9] "i"(offsetof(type, guest.r9)),			\
	[r10] "i"(offsetof(type, guest.r10)), [r11] "i"(offsetof(type, guest.r11)),		\
	[r12] "i"(offsetof(type, guest.r12)), [r13] "i"(offsetof(type, guest.r13)),		\
	[r14] "i"(offsetof(type, guest.r14)), [r15] "i"(offsetof(type, guest.r15))

/* Of the compiler's registers; rdi and rbp are the code's own affair. */
#define MORSEL_REGISTER_CLOBBERS \
	"rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc"

#endif /* MORSEL_KMOD_VCPU_REGISTERS_H */
