// SPDX-License-Identifier: GPL-2.0-or-later
//
// The objects' names by their ids, asked for once each: ids are never given twice. An object that has lost its name
// has none.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "testvm/agent/module.hpp"

namespace morsel::agent {

// All that have a name now.
std::map<std::uint32_t, std::string> object_names(Module& module);
// Throws RequestError if none has this name.
std::uint32_t object_id(Module& module, const std::string& name);

class ObjectNames {
 public:
  explicit ObjectNames(Module& module) : module_(module) {}
  const std::string& of(std::uint32_t id)
  {
    if (!known_.contains(id)) {
      known_[id] = "";
      for (const auto& [number, name] : object_names(module_)) known_[number] = name;
    }
    return known_[id];
  }

 private:
  Module& module_;
  std::map<std::uint32_t, std::string> known_;
};

}  // namespace morsel::agent
