// SPDX-License-Identifier: GPL-2.0-or-later
//
// How text looks: signs and colours of the states, aligned columns. Signs always, colours only where asked for.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/inspect/diff.hpp"

namespace morsel::session {

// One character per state, the same as in the window. A hole has none.
std::string_view state_sign(inspect::DiffState state);
std::optional<inspect::DiffState> find_state(std::string_view name);

struct Style {
  bool color = false;

  std::string state(inspect::DiffState state, std::string_view text) const;
  std::string state(std::string_view name, std::string_view text) const;  // by the state's name in facts
  std::string dim(std::string_view text) const;
  std::string bold(std::string_view text) const;
  std::string good(std::string_view text) const;
  std::string bad(std::string_view text) const;
};

// Characters that a terminal shows: escapes count nothing, UTF-8 sequences one.
std::size_t shown_width(std::string_view text);

// Columns as wide as their widest cell, two blanks between, no blanks at the end of a line.
class TextTable {
 public:
  enum class Align : bool { left, right };
  explicit TextTable(std::vector<Align> columns = {}) : align_(std::move(columns)) {}
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text(std::string_view indent = {}) const;

 private:
  std::vector<Align> align_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace morsel::session
