// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/guest/qemu/inner_guest.hpp"

#include <atomic>
#include <stdexcept>

#include "testvm/guest/qemu/mailbox.h"

namespace morsel::guest {

volatile std::uint32_t& InnerGuest::word(std::uint64_t offset) const
{
  return reinterpret_cast<volatile std::uint32_t&>(memory_.word(MORSEL_MAILBOX + offset));
}

bool InnerGuest::listens() const { return word(MORSEL_MAILBOX_READY) == MORSEL_MAILBOX_SIGN; }

std::uint32_t InnerGuest::starts() const { return word(MORSEL_MAILBOX_STARTS); }

// Everything else is there before the request is: the x86 keeps stores in order, the fence keeps the compiler from
// changing it.
std::uint32_t InnerGuest::post(std::uint32_t command, std::uint64_t first, std::uint64_t end, std::uint32_t value) const
{
  const std::uint32_t request = word(MORSEL_MAILBOX_REQUEST) + 1;
  word(MORSEL_MAILBOX_COMMAND) = command;
  word(MORSEL_MAILBOX_FIRST) = static_cast<std::uint32_t>(first);
  word(MORSEL_MAILBOX_END) = static_cast<std::uint32_t>(end);
  word(MORSEL_MAILBOX_VALUE) = value;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  word(MORSEL_MAILBOX_REQUEST) = request;
  return request;
}

std::uint32_t InnerGuest::ask(std::uint32_t command, std::uint64_t first, std::uint64_t end, std::uint32_t value) const
{
  const std::uint32_t request = post(command, first, end, value);
  emulator_.wait_for_bell();
  if (word(MORSEL_MAILBOX_ANSWER) != request)
    throw std::runtime_error("the inner guest answers request " + std::to_string(word(MORSEL_MAILBOX_ANSWER)) +
                             ", asked was " + std::to_string(request));
  return word(MORSEL_MAILBOX_RESULT);
}

int InnerGuest::end(std::uint32_t value) const
{
  post(MORSEL_COMMAND_END, 0, 0, value);
  return emulator_.wait_for_end();
}

}  // namespace morsel::guest
