// SPDX-License-Identifier: GPL-2.0-or-later
//
// How the agent reaches morsel.ko: requests of engine/abi/morsel_ioctl.h on the device or on an object's file. The
// guest's is in kernel_module.hpp; tests bring one without a kernel. Every failure throws RequestError.
// Requests come from several threads.
#pragma once
#include <string>

#include "testvm/agent/unique_fd.hpp"

namespace morsel::agent {

enum class Open { for_reading, for_writing };

class Module {
 public:
  virtual ~Module() = default;
  virtual bool is_loaded() = 0;
  // A global request, on /dev/morsel.
  virtual void request(unsigned long code, void* argument) = 0;
  // The device itself, and a request on a descriptor of it that stays open: the gate's.
  virtual UniqueFd open_device() = 0;
  virtual void control(int fd, unsigned long code, void* argument) = 0;
  // A request on the object of that name.
  virtual void request_on(const std::string& name, Open how, unsigned long code, void* argument) = 0;
  // Removes the object's name; it lives on while somebody maps it.
  virtual void remove(const std::string& name) = 0;
  virtual void load(const std::string& parameters) = 0;
  virtual void unload() = 0;
};

}  // namespace morsel::agent
