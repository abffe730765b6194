/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the programs that measure inside the guest share. They print one JSON object a line, for scripts/bench:
 * {"area","name","value","unit","baseline","ratio","goal","met"}; ratio is baseline / value, less is better.
 */
#ifndef MORSEL_KMOD_TESTS_MEASURE_H
#define MORSEL_KMOD_TESTS_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#define GIB (1ul << 30)
#define PAGE 4096ul

double now_ms(void);
void sort(double *values, size_t count);
double median(double *values, size_t count);	/* sorts them */
void die(const char *what);			/* with errno's words */
int new_object(const char *name, size_t bytes);	/* in morselfs, every page written to once */
void write_pages(int fd, size_t bytes);

/* `goal`: how many times faster at least; 0: none. */
void report(const char *name, const char *unit, double value, double baseline, int goal);

#endif /* MORSEL_KMOD_TESTS_MEASURE_H */
