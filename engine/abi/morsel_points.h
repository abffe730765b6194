/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * The points: every shared access of the synchronisation protocol, by name. FROZEN: numbers are never reused, new
 * points are appended. Plain C, because the kernel's tracepoints are generated from the same table as the engine's
 * enum SyncPoint (engine/platform/point.hpp), the journal, the stepper and gdb's symbols.
 *
 * X(number, name, "what the access does")
 */
#ifndef MORSEL_POINTS_H
#define MORSEL_POINTS_H

#define MORSEL_POINTS(X) \
	X(0, enter, "enter a grace section of the object") \
	X(1, leave, "leave the grace section") \
	X(2, peek, "read the primary's leaf size: a hint at which level to reserve") \
	X(3, descend, "read an upper entry of the view on the way down") \
	X(4, link, "publish a new table in the view by compare-and-swap") \
	X(5, load, "read the view's entry that is to be filled") \
	X(6, reserve, "compare-and-swap the view's entry to a reservation") \
	X(7, read_primary, "read an entry of the primary, after the reservation") \
	X(8, cancel_move, "put a moving entry back to the leaf that it was") \
	X(9, read_pending, "read a flush domain's count of pending flushes") \
	X(10, publish, "compare-and-swap the reservation to the leaf") \
	X(11, undo, "compare-and-swap the reservation back to a hole") \
	X(12, find, "read an entry of the primary on the way down to a change") \
	X(13, link_primary, "publish a new table in the primary by compare-and-swap") \
	X(14, split, "compare-and-swap a large leaf of the primary to a table of smaller leaves") \
	X(15, change, "change an entry of the primary: the operation's decision") \
	X(16, cancel_merge, "clear the mark of a merge that waits") \
	X(17, read_list, "read the list of views, after the change") \
	X(18, pend, "raise a flush domain's count of pending flushes") \
	X(19, walk_view, "read an entry of a view on the way to an invalidation") \
	X(20, invalidate, "exchange the view's entry that covers the range to a hole") \
	X(21, flush, "make every walker of a domain forget a range") \
	X(22, collect, "collect the accessed and dirty bits of an unlinked table, after the flush") \
	X(23, unpend, "lower a flush domain's count of pending flushes") \
	X(24, carry, "carry removed dirty bits to the frames' state, after the flush") \
	X(25, retire, "hand frames and tables over to the end of a grace period") \
	X(26, list, "put a new view on the object's list") \
	X(27, attach, "let hardware and fills reach a view or a table") \
	X(28, detach, "take hardware's root pointer away from a view or a table") \
	X(29, unlist, "take a dropped view off the object's list") \
	X(30, read_size, "read the object's size") \
	X(31, resize, "change the object's size") \
	X(32, mark, "mark a table entry: a merge waits") \
	X(33, grace, "wait for a grace period") \
	X(34, copy, "copy a frame, after all domains were flushed") \
	X(35, install, "compare-and-swap a moving entry to the new leaf") \
	X(36, harvest, "clear accessed and dirty bits in place") \
	X(37, report, "fetch and clear the dirty log's bit of a frame") \
	X(38, persist, "write a line back to persistent memory and fence") \
	X(39, alloc, "allocate a table or a frame") \
	X(40, read_frozen, "read whether the object is the base of clones, and changes no more") \
	X(41, freeze, "make the object a base; count a clone of it") \
	X(42, hold, "hold the token of a move, look whether nobody else does, or give it back")

enum morsel_point {
#define MORSEL_POINT_ENUM(number, name, text) MORSEL_POINT_##name = number,
	MORSEL_POINTS(MORSEL_POINT_ENUM)
#undef MORSEL_POINT_ENUM
	MORSEL_POINT_COUNT
};

#endif /* MORSEL_POINTS_H */
