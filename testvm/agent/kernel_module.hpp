// SPDX-License-Identifier: GPL-2.0-or-later
//
// morsel.ko in the guest's kernel.
#pragma once
#include "testvm/agent/module.hpp"

namespace morsel::agent {

// Opens what it needs for each request and closes it again: an open file would keep the module from being unloaded.
class KernelModule final : public Module {
 public:
  bool is_loaded() override;
  void request(unsigned long code, void* argument) override;
  UniqueFd open_device() override;
  void control(int fd, unsigned long code, void* argument) override;
  void request_on(const std::string& name, Open how, unsigned long code, void* argument) override;
  void remove(const std::string& name) override;
  void load(const std::string& parameters) override;
  void unload() override;

 private:
  void require_loaded();
};

}  // namespace morsel::agent
