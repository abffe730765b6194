// SPDX-License-Identifier: GPL-2.0-or-later
//
// Replacing a file as a whole: readers see the old bytes or the new ones, also after a crash or on a full disk.
#pragma once
#include <filesystem>
#include <string_view>

namespace morsel::testvm {

// durable: the bytes are on the disk before the name is. lazy: for what may be lost with the machine's power.
enum class Durability { durable, lazy };

// Writes to a temporary file in the same folder and renames it. On failure nothing is left behind, and the Failure says
// how many bytes were needed, where, and how many are free there.
void replace_file(const std::filesystem::path& target, std::string_view bytes, Durability durability);

}  // namespace morsel::testvm
