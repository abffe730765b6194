// SPDX-License-Identifier: GPL-2.0-or-later
//
// A request that cannot be done: an errno value, which becomes the reply's class, and what was tried.
#pragma once
#include <cerrno>
#include <stdexcept>
#include <string>

namespace morsel::agent {

class RequestError : public std::runtime_error {
 public:
  RequestError(int number, const std::string& text) : std::runtime_error(text), number_(number) {}
  int number() const { return number_; }

 private:
  int number_;
};

}  // namespace morsel::agent
