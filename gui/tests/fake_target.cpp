// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/tests/fake_target.hpp"

namespace morsel::gui {

FakeTarget::FakeTarget() : memory_(table_count * 512)
{
  physical_ =
      inspect::PhysicalMemory({{memory_start, memory_.size() * 8, reinterpret_cast<const std::byte*>(memory_.data())}});
}

PhysAddr FakeTarget::newTable()
{
  if (used_tables_ == table_count) throw std::runtime_error("the fake target has no more tables");
  return {memory_start + used_tables_++ * page_bytes};
}

PhysAddr FakeTarget::rootOf(const session::ObjectState& object, TreeId tree) const
{
  return tree == primary_tree ? object.root : object.views.at(tree - 1u).root;
}

Level FakeTarget::rootLevelOf(const session::ObjectState& object, TreeId tree) const
{
  return tree == primary_tree ? object.root_level : object.views.at(tree - 1u).root_level;
}

session::ObjectState& FakeTarget::addObject(const std::string& name, u64 bytes, Level root_level)
{
  session::ObjectState& object = objects_[name];
  object.name = name;
  object.bytes = bytes;
  object.root = newTable();
  object.root_level = root_level;
  return object;
}

void FakeTarget::addDemo()
{
  session::ObjectState& o = addObject("demo", u64{4} << 20, 1);
  addView<EptL4>(o);
  const auto primary = [&](u64 page, Rights rights) {
    put<Amd64L4>(o, 0, page * page_bytes, 0, Amd64L4::make_leaf({frame(page)}, 0, {rights, true, false}));
  };
  const auto view = [&](u64 page, u64 word) { put<EptL4>(o, 1, page * page_bytes, 0, word); };
  for (u64 page = 0; page < 7; ++page) primary(page, page == 4 ? right_read : rights_rw);
  view(0, EptL4::make_leaf({frame(0)}, 0, {rights_rw, true, true}));
  view(2, software::make_reserved(7, software::Stale::no));
  view(3, EptL4::make_leaf({frame(3)}, 0, {right_read}));
  view(4, EptL4::make_leaf({frame(4)}, 0, {rights_rw}));
  view(5, frame(5) | EptL4::write);  // write without read is misconfigured
  view(6, EptL4::make_leaf({frame(60)}, 0, {rights_rw}));
  view(7, EptL4::make_leaf({frame(7)}, 0, {rights_rw}));
}

std::vector<session::ObjectState> FakeTarget::objects()
{
  ++object_requests_;
  if (failure_) throw session::Failure(*failure_);
  std::vector<session::ObjectState> all;
  for (const auto& [name, object] : objects_) all.push_back(object);
  return all;
}

void FakeTarget::listen(std::function<void(const session::Event&)> listener)
{
  const std::lock_guard lock(listener_mutex_);
  listener_ = std::move(listener);
}

void FakeTarget::tell(const session::Event& event)
{
  const std::lock_guard lock(listener_mutex_);
  if (listener_) listener_(event);
}

std::shared_ptr<const session::AlignedTree> capture(FakeTarget& target, const std::string& name)
{
  return std::make_shared<session::AlignedTree>(session::AlignedTree::capture(target.memory(), target.object(name)));
}

}  // namespace morsel::gui
