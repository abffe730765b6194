// SPDX-License-Identifier: GPL-2.0-or-later
//
// A fiber whose state can be saved and restored: it has a stack of its own at a fixed address, and a saved state is a
// copy of the part in use. So nothing that owns memory elsewhere may live on its stack across a pause.
//
// Boost.Context's fiber class moves and unwinds its stack, and does not let it be copied; the layer below it does.
#pragma once
#include <boost/context/detail/fcontext.hpp>

#include <memory>
#include <vector>

#include "engine/base/types.hpp"

namespace morsel::sim {

class Fiber {
 public:
  using Body = void (*)(void* argument);

  Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes it ready; the body must not return, but pause for ever.
  void start(Body body, void* argument);
  void resume();  // by the scheduler: returns when the fiber pauses
  void pause();   // by the fiber

  // Between pauses, by the scheduler.
  struct Saved {
    boost::context::detail::fcontext_t at = nullptr;
    std::size_t where = 0;  // in the buffer
    std::size_t bytes = 0;
  };
  Saved save(std::vector<std::byte>& buffer) const;
  void restore(const Saved& saved, const std::vector<std::byte>& buffer);

 private:
  static constexpr std::size_t stack_bytes = 64 * 1024;
  static void enter(boost::context::detail::transfer_t from);
  std::byte* top() const { return stack_.get() + stack_bytes; }

  std::unique_ptr<std::byte[]> stack_;
  boost::context::detail::fcontext_t at_ = nullptr, back_ = nullptr;
  Body body_ = nullptr;
  void* argument_ = nullptr;
};

}  // namespace morsel::sim
