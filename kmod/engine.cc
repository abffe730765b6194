// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine in the kernel: the one C++ translation unit of morsel.ko. Each function of engine/abi/engine_abi.h is one
// operation of the engine on the kernel's platform.
#include "kmod/kernel_platform.hpp"

#include "engine/abi/morsel_ioctl.h"
#include "engine/platform/fault_count.hpp"

namespace morsel {
namespace {

static_assert(sizeof(Object) <= sizeof(engine_object) && alignof(Object) <= alignof(engine_object));
static_assert(sizeof(View) <= sizeof(engine_view) && alignof(View) <= alignof(engine_view));
static_assert(ENGINE_INTERRUPTED == static_cast<int>(Error::interrupted) &&
              ENGINE_BUSY == static_cast<int>(Error::busy));
static_assert(MORSEL_MAX_VIEWS == max_views && MORSEL_FORMAT_LAST == static_cast<int>(FormatId::riscv_sv48x4));
static_assert(MORSEL_READ == right_read.bits() && MORSEL_WRITE == right_write.bits());

Object& of(engine_object* object) { return *reinterpret_cast<Object*>(object->storage); }
View& of(engine_view* view) { return *reinterpret_cast<View*>(view->storage); }
Tree& tree_of(engine_object* object, engine_view* view) { return view ? of(view).tree : of(object).primary; }

int status(const Status& s) { return static_cast<int>(s.error()); }

template <class T, class U>
int store(const Expected<T>& result, U* out)
{
  if (result) *out = static_cast<U>(*result);
  return static_cast<int>(result.error());
}

// The primary itself is the tree that is walked: no fill, only population.
int access_primary(KernelPlatform& p, Object& object, u64 offset, Rights want)
{
  const GraceSection section(p);
  if (offset >= p.load_word(SyncPoint::read_size, object.bytes)) return ENGINE_OUT_OF_RANGE;
  const Walked found = detail::read_primary(p, object, offset, SyncPoint::find);
  if (found.kind == EntryKind::malformed) return ENGINE_CORRUPT;
  if (found.kind != EntryKind::leaf) return ENGINE_NEEDS_POPULATE;
  return found.rights.includes(want) ? ENGINE_DONE : ENGINE_ACCESS_DENIED;
}

// The bits that hardware sets: accessed always, dirty before a write.
u64 bits_of_use(FormatId format, Rights want)
{
  return AllFormats::dispatch(format, u64{0},
                              [&]<class F>() { return F::accessed_bit | (want.write() ? F::dirty_bit : 0); });
}

// As hardware would. False if the entry changed meanwhile.
bool mark_used(const Leaf& leaf, u64 bits)
{
  const u64 marked = leaf.word | bits;
  if (marked == leaf.word) return __atomic_load_n(leaf.entry.word, __ATOMIC_SEQ_CST) == leaf.word;
  return kernel_compare_exchange(reinterpret_cast<engine_u64*>(leaf.entry.word), leaf.word, marked) != 0;
}

// While it lasts, flushes and copies of frames wait. No point lies within.
class Touch {
 public:
  explicit Touch(engine_actor* actor) : actor_(actor) { kernel_begin_touch(actor_); }
  ~Touch() { kernel_end_touch(actor_); }
  Touch(const Touch&) = delete;
  Touch& operator=(const Touch&) = delete;

 private:
  engine_actor* actor_;
};

// The access itself.
Status touch(engine_actor* actor, KernelPlatform& p, const Tree& tree, u64 offset, Rights want, engine_u64* value)
{
  const GraceSection section(p);
  for (;;) {
    const auto leaf = lookup(p, SyncPoint::load, tree, offset);
    if (!leaf) return leaf.error();
    if (!leaf->rights.includes(want)) return Error::access_denied;
    const Touch lasts(actor);
    if (!mark_used(*leaf, bits_of_use(tree.format, want))) continue;
    u64* const word = p.words(leaf->frame) + (offset & (page_bytes - 1)) / sizeof(u64);
    if (want.write())
      __atomic_store_n(word, u64{*value}, __ATOMIC_SEQ_CST);
    else
      *value = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    return {};
  }
}

}  // namespace
}  // namespace morsel

using namespace morsel;

int engine_create(engine_actor* actor, engine_object* object, engine_u64 bytes, unsigned root_level)
{
  KernelPlatform p(actor);
  if (root_level > 2) return ENGINE_INVALID;
  return status(create(p, of(object), bytes, static_cast<Level>(root_level)));
}

void engine_destroy(engine_actor* actor, engine_object* object)
{
  KernelPlatform p(actor);
  destroy(p, of(object));
}

int engine_resize(engine_actor* actor, engine_object* object, engine_u64 bytes)
{
  KernelPlatform p(actor);
  return status(resize(p, of(object), bytes));
}

int engine_populate(engine_actor* actor, engine_object* object, engine_u64 start, engine_u64 end, unsigned rights,
                    unsigned leaf_level, engine_u64* pages)
{
  KernelPlatform p(actor);
  if (rights > rights_all.bits() || leaf_level > 1) return ENGINE_INVALID;
  return store(
      populate(p, of(object), {start, end}, Rights::from_bits(static_cast<u8>(rights)), static_cast<Level>(leaf_level)),
      pages);
}

int engine_unmap(engine_actor* actor, engine_object* object, engine_u64 start, engine_u64 end, engine_u64* pages)
{
  KernelPlatform p(actor);
  return store(unmap(p, of(object), {start, end}), pages);
}

int engine_protect(engine_actor* actor, engine_object* object, engine_u64 start, engine_u64 end, unsigned rights,
                   engine_u64* pages)
{
  KernelPlatform p(actor);
  if (rights > rights_all.bits()) return ENGINE_INVALID;
  return store(protect(p, of(object), {start, end}, Rights::from_bits(static_cast<u8>(rights))), pages);
}

int engine_split(engine_actor* actor, engine_object* object, engine_u64 start, engine_u64 end)
{
  KernelPlatform p(actor);
  return status(split(p, of(object), {start, end}, 0));
}

int engine_merge(engine_actor* actor, engine_object* object, engine_u64 start, engine_u64 end, engine_u64* pages)
{
  KernelPlatform p(actor);
  const auto leaves = merge(p, of(object), {start, end}, 1);
  if (leaves) *pages = *leaves * table_entries<PrimaryFormat>(0);
  return static_cast<int>(leaves.error());
}

int engine_migrate(engine_actor* actor, engine_object* object, engine_u64 start, engine_u64 end, engine_u64* pages)
{
  KernelPlatform p(actor);
  return store(migrate(p, of(object), {start, end}), pages);
}

int engine_harvest(engine_actor* actor, engine_object* object, engine_u64 start, engine_u64 end, engine_u64* accessed,
                   engine_u64* dirty)
{
  struct Bitmaps {
    void mark(engine_u64* bits, Range pages) const
    {
      for (u64 at = (pages.start - first) >> page_lg2; at < (pages.end - first) >> page_lg2; ++at)
        bits[at / 64] |= engine_u64{1} << at % 64;
    }
    void accessed(Range pages) const { mark(accessed_bits, pages); }
    void dirty(Range pages) const { mark(dirty_bits, pages); }
    u64 first;
    engine_u64* accessed_bits;
    engine_u64* dirty_bits;
  } report{start, accessed, dirty};
  KernelPlatform p(actor);
  return status(harvest(p, of(object), {start, end}, report));
}

int engine_ranges(engine_actor* actor, engine_object* object, engine_u64 start, engine_u64 end, int dirty,
                  morsel_run* runs, engine_u64 room, engine_u64* count, engine_u64* next)
{
  KernelPlatform p(actor);
  *count = 0;
  *next = end;
  const auto add = [&](Range pages, Rights rights) {
    if (*count < room)
      runs[(*count)++] = {pages.start, pages.end, rights.bits(), 0};
    else if (*next == end)
      *next = pages.start;
  };
  if (!dirty) return status(for_each_populated(p, of(object), {start, end}, add));
  return status(for_each_dirty(p, of(object), {start, end}, [&](Range pages) { add(pages, {}); }));
}

int engine_add_view(engine_actor* actor, engine_object* object, engine_view* view, unsigned format, unsigned number)
{
  KernelPlatform p(actor);
  if (format > 0xff || number > max_views) return ENGINE_INVALID;
  return status(add_view(p, of(object), of(view), static_cast<FormatId>(format), static_cast<TreeId>(number)));
}

void engine_drop_view(engine_actor* actor, engine_object* object, engine_view* view)
{
  KernelPlatform p(actor);
  drop_view(p, of(object), of(view));
}

int engine_invalidate_view(engine_actor* actor, engine_object* object, engine_view* view, engine_u64 start,
                           engine_u64 end)
{
  KernelPlatform p(actor);
  return status(invalidate(p, of(object), of(view), {start, end}));
}

int engine_access(engine_actor* actor, engine_object* object, engine_view* view, engine_u64 offset, unsigned rights,
                  int may_populate, unsigned* result)
{
  KernelPlatform p(actor);
  const Rights want = Rights::from_bits(static_cast<u8>(rights));
  bool populated = false;
  for (;;) {
    int error = ENGINE_DONE;
    bool filled = false;
    if (view) {
      const auto outcome = fill(p, of(object), of(view), offset, want);
      error = static_cast<int>(outcome.error());
      filled = outcome && *outcome == FillOutcome::filled;
    } else {
      error = access_primary(p, of(object), offset, want);
    }
    if (error == ENGINE_DONE) {
      *result = populated ? MORSEL_ACCESS_POPULATED : filled ? MORSEL_ACCESS_FILLED : MORSEL_ACCESS_HIT;
      return ENGINE_DONE;
    }
    if (error == ENGINE_ACCESS_DENIED) *result = MORSEL_ACCESS_DENIED;
    if (error != ENGINE_NEEDS_POPULATE || !may_populate) return error;
    const u64 page = align_down(offset, page_bytes);
    const auto added = populate(p, of(object), {page, page + page_bytes}, rights_rw, 0);
    if (!added) return static_cast<int>(added.error());
    populated = populated || *added != 0;
  }
}

int engine_touch(engine_actor* actor, engine_object* object, engine_view* view, engine_u64 offset, unsigned right,
                 engine_u64* value)
{
  KernelPlatform p(actor);
  return status(touch(actor, p, tree_of(object, view), offset, Rights::from_bits(static_cast<u8>(right)), value));
}

int engine_find(engine_actor* actor, engine_object* object, engine_view* view, engine_u64 offset, int hold,
                engine_leaf* leaf)
{
  KernelPlatform p(actor);
  const GraceSection section(p);
  const Tree& tree = tree_of(object, view);
  const auto found = lookup(p, view ? SyncPoint::load : SyncPoint::find, tree, offset);
  if (!found) return static_cast<int>(found.error());
  *leaf = {found->frame.value, found->word, found->rights.bits(), found->level};
  if (hold) kernel_hold_frame(found->frame.value);
  return ENGINE_DONE;
}

int engine_ensure_table(engine_actor* actor, engine_object* object, engine_view* view, engine_u64 offset,
                        unsigned level, engine_u64* table)
{
  KernelPlatform p(actor);
  Tree& tree = tree_of(object, view);
  const auto found = table_to_attach(p, of(object), tree, offset, static_cast<Level>(level));
  if (found) *table = found->value;
  return static_cast<int>(found.error());
}

int engine_walks_primary(unsigned format)
{
  return AllFormats::dispatch(static_cast<FormatId>(format), 0, []<class F>() -> int { return walks_primary<F>(); });
}

void engine_mark_attached(engine_actor* actor, engine_object* object, engine_view* view)
{
  KernelPlatform p(actor);
  Tree& tree = tree_of(object, view);
  p.add(SyncPoint::attach, tree.id, tree.attached, +1);
}

void engine_describe(const engine_object* object, const engine_view* view, engine_tree_info* info)
{
  const Tree& tree = tree_of(const_cast<engine_object*>(object), const_cast<engine_view*>(view));
  *info = {tree.root.value, tree.root_level, static_cast<unsigned>(tree.format)};
}

int engine_fault_due(const engine_fault_count* c)
{
  return FaultCount{c->nth, c->times, c->interval, c->probability, c->seed, c->seen, c->fired}.due();
}

int engine_word_kind(unsigned format, unsigned level, engine_u64 word, engine_u64* frame)
{
  return AllFormats::dispatch(static_cast<FormatId>(format), static_cast<int>(ENGINE_INVALID), [&]<class F>() -> int {
    switch (F::kind(word, static_cast<Level>(level))) {
      case EntryKind::leaf: *frame = F::address(word, static_cast<Level>(level)).value; return ENGINE_DONE;
      case EntryKind::table: return ENGINE_EXISTS;
      case EntryKind::malformed: return ENGINE_CORRUPT;
      default: return ENGINE_INVALID;
    }
  });
}

void engine_release(engine_actor* actor, unsigned tree, unsigned format, unsigned level, engine_u64 table)
{
  KernelPlatform p(actor);
  release(p, RetiredTable{static_cast<TreeId>(tree), static_cast<FormatId>(format), static_cast<Level>(level),
                          PhysAddr{table}});
}
