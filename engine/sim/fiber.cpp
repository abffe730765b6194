// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/fiber.hpp"

#include <sanitizer/asan_interface.h>

#include <cstring>

namespace morsel::sim {

namespace {

// AddressSanitizer's marks around variables are no part of what is copied: without them it sees less on this stack, and
// nothing that is not there.
void forget_marks([[maybe_unused]] std::byte* from, [[maybe_unused]] std::size_t bytes)
{
  ASAN_UNPOISON_MEMORY_REGION(from, bytes);
}

}  // namespace

namespace context = boost::context::detail;

Fiber::Fiber() : stack_(new std::byte[stack_bytes]) {}

void Fiber::start(Body body, void* argument)
{
  forget_marks(stack_.get(), stack_bytes);
  body_ = body;
  argument_ = argument;
  at_ = context::make_fcontext(top(), stack_bytes, enter);
}

void Fiber::enter(context::transfer_t from)
{
  Fiber& self = *static_cast<Fiber*>(from.data);
  self.back_ = from.fctx;
  self.body_(self.argument_);
}

void Fiber::resume() { at_ = context::jump_fcontext(at_, this).fctx; }

void Fiber::pause() { back_ = context::jump_fcontext(back_, this).fctx; }

Fiber::Saved Fiber::save(std::vector<std::byte>& buffer) const
{
  auto* const from = static_cast<std::byte*>(at_);
  const auto bytes = static_cast<std::size_t>(top() - from);
  forget_marks(from, bytes);
  const std::size_t where = buffer.size();
  buffer.resize(where + bytes);
  std::memcpy(buffer.data() + where, from, bytes);
  return {at_, where, bytes};
}

void Fiber::restore(const Saved& saved, const std::vector<std::byte>& buffer)
{
  at_ = saved.at;
  forget_marks(stack_.get(), stack_bytes);
  std::memcpy(static_cast<std::byte*>(at_), buffer.data() + saved.where, saved.bytes);
}

}  // namespace morsel::sim
