// SPDX-License-Identifier: GPL-2.0-or-later
//
// Records of the journal and places in the history as facts and text.
#pragma once
#include <string>

#include "engine/session/recorder.hpp"
#include "engine/session/reply.hpp"
#include "engine/session/style.hpp"

namespace morsel::session {

// The record with this number, counted from the oldest.
Json record_facts(const Chronicle& chronicle, std::size_t number);
// {"record":812,"of":1204,"exact":true}
Json place_facts(const Recorder& recorder);
// A line that says so; of the present nothing.
std::string place_text(const Recorder& recorder, const Style& style);

std::string_view actor_kind_name(u8 kind);

}  // namespace morsel::session
