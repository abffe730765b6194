// SPDX-License-Identifier: GPL-2.0-or-later
//
// qemu:///system runs QEMU as a user of its own, who may not reach files in a home folder. Such files are linked or
// copied to where it can read them.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

namespace morsel::testvm {

// Whether "+UID:+GID", with that user's groups, may access the file (R_OK, W_OK). Only root can ask for others.
bool may_access(const std::string& qemu_user, const std::filesystem::path& file, int mode);

// The file itself if it can be read, else a link or copy in stage(), a folder that everybody may enter.
std::filesystem::path reachable_for(const std::string& qemu_user, const std::filesystem::path& file,
                                    const std::function<std::filesystem::path()>& stage);

// Makes that user the file's owner; nothing if there is none.
void give_to(const std::string& qemu_user, int file, const std::filesystem::path& name);

}  // namespace morsel::testvm
