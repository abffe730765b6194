/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * The one list of what the module counts: X(field of struct morsel_counters, its name in the module). Whoever passes
 * all counters on makes the code from it; kmod/device.c checks that the structure has these fields and no others.
 */
#ifndef MORSEL_COUNTERS_H
#define MORSEL_COUNTERS_H

#define MORSEL_COUNTER_LIST(X)        \
  X(objects, OBJECTS)                 \
  X(views, VIEWS)                     \
  X(tables, TABLES)                   \
  X(frames, FRAMES) /* 4-KiB pages */ \
  X(attachments, ATTACHMENTS)         \
  X(contexts, CONTEXTS)               \
  X(attached_total, ATTACHED)         \
  X(detached_total, DETACHED)         \
  X(flushes_total, FLUSHES)           \
  X(fills_total, FILLS)               \
  X(bad_entries, BAD_ENTRIES)         \
  X(own_pages, OWN_PAGES)

#endif /* MORSEL_COUNTERS_H */
