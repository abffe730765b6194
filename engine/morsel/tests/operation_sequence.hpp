// SPDX-License-Identifier: GPL-2.0-or-later
//
// Operations on an object, its clones and their views, each against a plain map from page to what stands there. After
// every operation each tree is held against it page by page by the slow walker (I1), and the answers about ranges; at
// the end nothing is left. An operation in which an allocation fails may have been done in part, page by page.
#pragma once
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "engine/morsel/tests/drawn_operation.hpp"
#include "engine/morsel/tests/engine_fixture.hpp"

namespace morsel::testing_support {

struct Page {
  u64 frame = 0;
  Rights granted;        // to the holder
  bool shared = false;   // the frame belongs to a frozen object: nobody writes it
  bool written = false;  // since the last harvest
  Rights rights() const { return shared ? granted & (right_read | right_exec) : granted; }
};

// An object and what should stand in it.
struct Modelled {
  std::unique_ptr<sim::EmbeddedObject> own;  // of a clone
  sim::EmbeddedObject& o;
  std::map<u64, Page> map;
};

struct Report {
  std::set<u64> pages;
  void accessed(Range) {}
  void dirty(Range r)
  {
    for (u64 o = r.start; o < r.end; o += page_bytes) pages.insert(o);
  }
};

class Sequence {
 public:
  Sequence(Level root_level, const std::vector<FormatId>& formats) : f_(u64{pages} * page_bytes, root_level)
  {
    stack_.push_back({nullptr, f_.o, {}});
    for (const FormatId format : formats) add_view(format);
  }
  ~Sequence()
  {
    for (; stack_.size() > 1; stack_.pop_back()) {
      while (!top().o.views.empty()) drop_view(top().o.views.begin()->first);
      auto p = platform();
      destroy(p, top().o.object);
      EXPECT_EQ(top().o.tables, 0u) << "a clone's tables leaked";
      EXPECT_EQ(top().o.frames, 0u) << "a clone's frames leaked";
    }
  }
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  sim::FaultPlan& faults() { return f_.machine.faults(); }
  u64 failures() const { return failures_; }
  void run(const Op& op)
  {
    op_ = op;
    range_ = {u64{op.first} * page_bytes, std::min(u64{op.first} + op.count, u64{pages}) * page_bytes};
    rights_ = right_read | Rights::from_bits(static_cast<u8>(op.rights << 1));
    if (op_.failing != 0 && can_be_done_in_part())
      perform_without_memory();
    else
      perform();
    check();
  }

 private:
  Modelled& top() { return stack_.back(); }
  Object& object() { return top().o.object; }
  sim::EmbeddedPlatform platform() { return {f_.machine, top().o}; }
  View* view()
  {
    auto& views = top().o.views;
    if (views.empty()) return nullptr;
    return std::next(views.begin(), static_cast<long>(op_.which % views.size()))->second.get();
  }
  void widen_to_blocks()
  {
    range_.start = align_down(range_.start, 2 * MiB);
    range_.end = align_down(range_.end + 2 * MiB - 1, 2 * MiB);
  }

  void perform()
  {
    switch (op_.kind) {
      case Op::Kind::populate: return populate_pages(0);
      case Op::Kind::populate_large: return widen_to_blocks(), populate_pages(1);
      case Op::Kind::unmap: return unmap_pages();
      case Op::Kind::protect: return protect_pages();
      case Op::Kind::split: return split_leaves();
      case Op::Kind::merge: return widen_to_blocks(), merge_tables();
      case Op::Kind::migrate: return migrate_pages();
      case Op::Kind::fill: return (void)fill_page(right_read | rights_);
      case Op::Kind::write: return write_page();
      case Op::Kind::harvest: return harvest_pages();
      case Op::Kind::invalidate: return invalidate_view();
      case Op::Kind::resize: return resize_object();
      case Op::Kind::add_view: return add_view(format_table[op_.which % format_table.size()].id);
      case Op::Kind::drop_view: return drop_view(view() ? view()->tree.id : primary_tree);
      case Op::Kind::clone: return clone_object();
      case Op::Kind::break_copy: return break_page();
      case Op::Kind::send: return send_object();
    }
  }

  // Of shared pages one does not see which rights they have been granted by a protect.
  bool can_be_done_in_part() const
  {
    switch (op_.kind) {
      case Op::Kind::populate:
      case Op::Kind::populate_large:
      case Op::Kind::unmap:
      case Op::Kind::split:
      case Op::Kind::migrate:
      case Op::Kind::fill:
      case Op::Kind::break_copy: return true;
      case Op::Kind::protect: return stack_.size() == 1;
      default: return false;
    }
  }
  Error attempt()
  {
    auto p = platform();
    switch (op_.kind) {
      case Op::Kind::populate: return populate(p, object(), range_, rights_, 0).error();
      case Op::Kind::populate_large: return widen_to_blocks(), populate(p, object(), range_, rights_, 1).error();
      case Op::Kind::unmap: return unmap(p, object(), range_).error();
      case Op::Kind::protect: return protect(p, object(), range_, rights_).error();
      case Op::Kind::split: return split(p, object(), range_, 0).error();
      case Op::Kind::migrate: return migrate(p, object(), range_).error();
      case Op::Kind::fill:
        range_.end = range_.start + page_bytes;
        return view() ? fill(p, object(), *view(), range_.start, right_read | rights_).error() : Error::none;
      default: range_.end = range_.start + page_bytes; return break_copy(p, object(), range_.start).error();
    }
  }
  void perform_without_memory()
  {
    std::vector<sim::FaultRule>& rules = faults().rules();
    faults().add({.point = SyncPoint::alloc, .action = MORSEL_FAULT_FAIL, .nth = op_.failing});
    const Error error = attempt();
    const bool failed = rules.back().fired != 0;
    rules.pop_back();
    failures_ += failed;
    if (failed) RC_ASSERT(error == Error::no_memory);
    for (u64 offset = 0; offset < u64{pages} * page_bytes; offset += page_bytes) adopt(offset);
  }
  // A page is as it was, or as it was to become.
  void adopt(u64 offset)
  {
    const auto now = f_.translation(object().primary, offset);
    const auto page = top().map.find(offset);
    const bool asked = range_.contains(offset), was_there = page != top().map.end();
    if (!now) {
      if (!was_there) return;
      RC_ASSERT(asked && op_.kind == Op::Kind::unmap);
      top().map.erase(page);
    } else if (!was_there) {
      RC_ASSERT(asked && (op_.kind == Op::Kind::populate || op_.kind == Op::Kind::populate_large));
      top().map[offset] = {now->address, rights_};
    } else {
      adopt_change(page->second, *now, asked);
    }
  }
  void adopt_change(Page& was, const slow::Translation& now, bool asked)
  {
    if (now.address != was.frame) {
      RC_ASSERT(asked && op_.kind == (was.shared ? Op::Kind::break_copy : Op::Kind::migrate));
      if (was.shared) was.shared = false, was.written = true;
      was.frame = now.address;
    }
    const bool same_rights = now.write == was.rights().write() && now.exec == was.rights().exec();
    if (asked && op_.kind == Op::Kind::protect && !same_rights) was.granted = rights_;
  }

  // Whether the operation could reach what it was asked for; if it could not, that it says so.
  template <class R>
  bool succeeded(const R& result)
  {
    if (range_.end > object().bytes) {
      RC_ASSERT(!result);
      RC_ASSERT(result.error() == Error::out_of_range);
    } else {
      RC_ASSERT(result.error() == Error::none);
    }
    return static_cast<bool>(result);
  }
  template <class Visitor>
  u64 for_mapped(Visitor&& visit)
  {
    u64 count = 0;
    for (auto it = top().map.lower_bound(range_.start); it != top().map.end() && it->first < range_.end; ++it)
      count += visit(it->first, it->second) ? 1 : 0;
    return count;
  }
  u64 frame_at(u64 offset)
  {
    const auto t = f_.translation(object().primary, offset);
    RC_ASSERT(t.has_value());
    return t->address;
  }

  void populate_pages(Level level)
  {
    auto p = platform();
    const Expected<u64> n = populate(p, object(), range_, rights_, level);
    if (!succeeded(n)) return;
    u64 added = 0;
    for (u64 o = range_.start; o < range_.end; o += page_bytes)
      if (!top().map.count(o)) top().map[o] = {frame_at(o), rights_}, ++added;
    RC_ASSERT(*n == added);
  }
  void unmap_pages()
  {
    auto p = platform();
    f_.machine.journal().record(true);
    const Expected<u64> n = unmap(p, object(), range_);
    f_.machine.journal().record(false);
    check_cost(f_.machine.journal().read().records);
    if (!succeeded(n)) return;
    const u64 mapped = for_mapped([](u64, Page&) { return true; });
    top().map.erase(top().map.lower_bound(range_.start), top().map.lower_bound(range_.end));
    RC_ASSERT(*n == mapped);
  }
  // I8: one exchange for each leaf or table that is taken out of a view, and one flush; one more whenever no more dirty
  // frames can be held.
  static void check_cost(const std::vector<morsel_journal_record>& records)
  {
    std::map<TreeId, std::set<std::pair<int, u64>>> taken;
    std::map<TreeId, u64> flushes;
    for (const morsel_journal_record& r : records) {
      if (r.point == MORSEL_POINT_invalidate)
        RC_ASSERT(r.before != 0u && taken[r.tree].emplace(int{r.level}, r.object_offset).second);
      if (r.point == MORSEL_POINT_flush && r.tree != primary_tree) ++flushes[r.tree];
    }
    for (const auto& [view, count] : flushes) {
      RC_ASSERT(!taken[view].empty());
      RC_ASSERT(count <= 1 + taken[view].size() / HeldDirty::capacity);
    }
  }
  void protect_pages()
  {
    auto p = platform();
    if (succeeded(protect(p, object(), range_, rights_)))
      for_mapped([this](u64, Page& page) { return page.granted = rights_, true; });
  }
  void split_leaves()
  {
    auto p = platform();
    (void)succeeded(split(p, object(), range_, 0));
  }
  void merge_tables()
  {
    auto p = platform();
    (void)succeeded(merge(p, object(), range_, 1));
  }
  // A page has another frame then, unless it is the base's.
  void migrate_pages()
  {
    auto p = platform();
    const Expected<u64> n = migrate(p, object(), range_);
    if (!succeeded(n)) return;
    const u64 moved = for_mapped([this](u64 offset, Page& page) {
      const u64 frame = frame_at(offset);
      RC_ASSERT((frame == page.frame) == page.shared);
      page.frame = frame;
      return !page.shared;
    });
    RC_ASSERT(*n == moved);
  }
  bool fill_page(Rights want)
  {
    View* const v = view();
    if (!v) return false;
    auto p = platform();
    const Expected<FillOutcome> r = fill(p, object(), *v, range_.start, want);
    const auto page = top().map.find(range_.start);
    if (range_.start >= object().bytes) {
      RC_ASSERT(r.error() == Error::out_of_range);
    } else if (page == top().map.end()) {
      RC_ASSERT(r.error() == Error::needs_populate);
    } else {
      const Rights given = find_format(v->tree.format)->reduce(page->second.rights());
      RC_ASSERT(r.error() == (given.includes(want) ? Error::none : Error::access_denied));
    }
    return static_cast<bool>(r);
  }
  // By a walker of the view.
  void write_page()
  {
    if (!fill_page(right_read | right_write)) return;
    auto p = platform();
    const FormatInfo& format = *find_format(view()->tree.format);
    *lookup(p, SyncPoint::load, view()->tree, range_.start)->entry.word |= format.accessed_bit | format.dirty_bit;
    top().map.at(range_.start).written = true;
  }
  void harvest_pages()
  {
    auto p = platform();
    Report report, again;
    if (!succeeded(harvest(p, object(), range_, report))) return;
    for (const u64 page : report.pages) RC_ASSERT(range_.contains(page) && top().map.count(page) == 1);
    for_mapped([&](u64 offset, Page& page) {
      RC_ASSERT(!page.written || report.pages.count(offset) == 1);
      return page.written = false;
    });
    RC_ASSERT(harvest(p, object(), range_, again).error() == Error::none);
    RC_ASSERT(again.pages.empty());
  }
  void invalidate_view()
  {
    auto p = platform();
    if (View* const v = view()) (void)invalidate(p, object(), *v, range_);
  }
  void resize_object()
  {
    const u64 bytes = range_.end;
    auto p = platform();
    RC_ASSERT(resize(p, object(), bytes).error() == Error::none);
    top().map.erase(top().map.lower_bound(bytes), top().map.end());
  }
  void add_view(FormatId format)
  {
    auto& views = top().o.views;
    if (views.size() == most_views) return;
    TreeId number = 1;
    while (views.count(number)) ++number;
    views[number] = std::make_unique<View>();
    auto p = platform();
    RC_ASSERT(morsel::add_view(p, object(), *views[number], format, number).error() == Error::none);
  }
  void drop_view(TreeId number)
  {
    if (number == primary_tree) return;
    auto p = platform();
    morsel::drop_view(p, object(), *top().o.views.at(number));
    top().o.views.erase(number);
  }
  // What stands is frozen, its views stay, and the sequence goes on with a clone.
  void clone_object()
  {
    if (stack_.size() == most_clones) return;
    auto p = platform();
    RC_ASSERT(freeze(p, object()).error() == Error::none);
    for (auto& [offset, page] : top().map) page.shared = true, page.written = false;
    RC_ASSERT(populate(p, object(), {0, page_bytes}, rights_, 0).error() == Error::frozen || object().bytes == 0);
    auto next = std::make_unique<sim::EmbeddedObject>();
    sim::EmbeddedPlatform of_clone(f_.machine, *next);
    RC_ASSERT(clone(of_clone, object(), next->object).error() == Error::none);
    sim::EmbeddedObject& o = *next;
    stack_.push_back({std::move(next), o, std::map(top().map)});
  }
  void break_page()
  {
    auto p = platform();
    const Expected<BreakOutcome> r = break_copy(p, object(), range_.start);
    const auto page = top().map.find(range_.start);
    if (range_.start >= object().bytes) {
      RC_ASSERT(r.error() == Error::out_of_range);
    } else if (page == top().map.end()) {
      RC_ASSERT(r.error() == Error::needs_populate);
    } else if (!page->second.granted.write()) {
      RC_ASSERT(r.error() == Error::access_denied);
    } else {
      RC_ASSERT(r.error() == Error::none);
      RC_ASSERT((*r == BreakOutcome::copied) == page->second.shared);
      if (!page->second.shared) return;
      const u64 frame = frame_at(range_.start);
      RC_ASSERT(frame != page->second.frame);
      page->second = {frame, page->second.granted, false, true};
    }
  }

  // To another holder and back. The one that sent it holds nothing.
  void send_object()
  {
    sim::EmbeddedObject other;
    auto p = platform();
    const Status sent = send(p, object(), other.object);
    if (!top().o.views.empty()) {
      RC_ASSERT(sent.error() == Error::busy);
      return;
    }
    RC_ASSERT(sent.error() == Error::none);
    std::swap(other.tables, top().o.tables), std::swap(other.frames, top().o.frames);
    RC_ASSERT(object().bytes == 0 && object().primary.root == PhysAddr{});
    RC_ASSERT(resize(p, object(), page_bytes).error() == Error::frozen);
    sim::EmbeddedPlatform of_other(f_.machine, other);
    RC_ASSERT(send(of_other, other.object, object()).error() == Error::none);
    std::swap(other.tables, top().o.tables), std::swap(other.frames, top().o.frames);
  }

  // What is answered about the whole object: the runs of pages that are there, with what their holder may do; of dirty
  // ones at least those that were written.
  void check_answers(Modelled& m)
  {
    if (m.o.object.bytes == 0) return;
    sim::EmbeddedPlatform p(f_.machine, m.o);
    std::map<u64, Rights> there;
    std::set<u64> dirty;
    const Range all{0, m.o.object.bytes};
    RC_ASSERT(for_each_populated(p, m.o.object, all, [&](Range run, Rights rights) {
                for (u64 o = run.start; o < run.end; o += page_bytes) there[o] = rights;
              }).error() == Error::none);
    RC_ASSERT(for_each_dirty(p, m.o.object, all, [&](Range run) {
                for (u64 o = run.start; o < run.end; o += page_bytes) dirty.insert(o);
              }).error() == Error::none);
    RC_ASSERT(there.size() == m.map.size());
    for (const auto& [offset, page] : m.map) {
      RC_ASSERT(there.count(offset) == 1 && there.at(offset).bits() == page.granted.bits());
      RC_ASSERT(!page.written || dirty.count(offset) == 1);
    }
    for (const u64 offset : dirty) RC_ASSERT(m.map.count(offset) == 1);
  }

  // I1 for every page of every object: the primary is the map, and each view's translation lies within it.
  void check()
  {
    for (Modelled& m : stack_) {
      check_answers(m);
      for (u64 o = 0; o < u64{pages} * page_bytes; o += page_bytes) {
        const auto page = m.map.find(o);
        const auto p = f_.translation(m.o.object.primary, o);
        if (p.has_value() != (page != m.map.end())) RC_FAIL("the primary maps other pages than the map");
        if (p && (p->address != page->second.frame || p->write != page->second.rights().write() ||
                  p->exec != page->second.rights().exec()))
          RC_FAIL("the primary's leaf is not what the map says");
        for (const auto& [number, v] : m.o.views) {
          const auto t = f_.translation(v->tree, o);
          if (!t) continue;
          if (!p || t->address != p->address) RC_FAIL("I1: a view's leaf is stale");
          if ((t->write && !p->write) || (t->exec && !p->exec)) RC_FAIL("I1: a view's leaf has more rights");
        }
      }
    }
  }

  EngineFixture f_;
  std::vector<Modelled> stack_;  // an object, its clone, the clone's clone
  Op op_;
  Range range_;
  Rights rights_;
  u64 failures_ = 0;  // operations that found no memory
};

}  // namespace morsel::testing_support
