// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the commands about formats share.
#pragma once
#include <string>

#include "engine/session/facts.hpp"

namespace morsel::session {

u64 read_hex(const Json& facts);
std::string joined(const Json& list, std::string_view separator);  // strings or numbers

// The bits of every kind of entry as text, from the facts of one format. Levels that look alike are drawn once.
std::string entry_drawings(const Json& format, std::string_view indent);

// docs/formats.md, from the facts of all formats with their fields.
std::string render_formats_page(const Json& facts);

}  // namespace morsel::session
