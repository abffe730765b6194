/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tracepoints morsel:morsel_<point>, one for each point of the protocol, generated from the one table in
 * engine/abi/morsel_points.h: perf and bpftrace see every access of the engine by name. Enabling any of them turns
 * observation on (morsel_observed_key).
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM morsel

#if !defined(MORSEL_KMOD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MORSEL_KMOD_TRACE_H

#include <linux/tracepoint.h>

#include "engine/abi/engine_abi.h"
#include "engine/abi/morsel_points.h"

#include "kmod/shim.h"

DECLARE_EVENT_CLASS(morsel_point,
	TP_PROTO(unsigned int object, unsigned int actor_kind, const struct engine_point_event *event),
	TP_ARGS(object, actor_kind, event),
	TP_STRUCT__entry(
		__field(unsigned int, object)
		__field(unsigned int, actor_kind)
		__field(unsigned int, tree)
		__field(unsigned int, level)
		__field(unsigned int, action)
		__field(u64, offset)
		__field(u64, before)
		__field(u64, after)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->actor_kind = actor_kind;
		__entry->tree = event->tree;
		__entry->level = event->level;
		__entry->action = event->action;
		__entry->offset = event->offset;
		__entry->before = event->before;
		__entry->after = event->after;
	),
	TP_printk("object=%u actor=%u tree=%u level=%u offset=%#llx before=%#llx after=%#llx injected=%u",
		  __entry->object, __entry->actor_kind, __entry->tree, __entry->level, __entry->offset,
		  __entry->before, __entry->after, __entry->action)
);

#define MORSEL_POINT_TRACE(number, name, text)						\
	DEFINE_EVENT_FN(morsel_point, morsel_##name,					\
		TP_PROTO(unsigned int object, unsigned int actor_kind,			\
			 const struct engine_point_event *event),			\
		TP_ARGS(object, actor_kind, event),					\
		morsel_observe_on, morsel_observe_off);
MORSEL_POINTS(MORSEL_POINT_TRACE)
#undef MORSEL_POINT_TRACE

#endif /* MORSEL_KMOD_TRACE_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH kmod
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
