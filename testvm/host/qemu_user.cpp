// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/qemu_user.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "engine/session/failure.hpp"
#include "testvm/host/os.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

struct Ids {
  uid_t user = 0;
  gid_t group = 0;
};

Ids parse_ids(const std::string& qemu_user)
{
  Ids ids;
  if (std::sscanf(qemu_user.c_str(), "+%u:+%u", &ids.user, &ids.group) != 2)
    throw Failure(Exit::target_lost, "reading libvirt's QEMU user", "'" + qemu_user + "' is not +UID:+GID");
  return ids;
}

std::vector<gid_t> groups_of(const Ids& ids)
{
  const passwd* user = getpwuid(ids.user);
  std::vector<gid_t> groups{ids.group};
  if (!user) return groups;
  int count = 64;
  groups.resize(static_cast<std::size_t>(count));
  if (getgrouplist(user->pw_name, ids.group, groups.data(), &count) < 0) count = 64;
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

}  // namespace

bool may_access(const std::string& qemu_user, const fs::path& file, int mode)
{
  const Ids ids = parse_ids(qemu_user);
  const std::vector<gid_t> groups = groups_of(ids);
  const pid_t pid = fork();
  if (pid < 0) throw Failure(Exit::target_lost, "starting a process", errno_text());
  if (pid == 0) {
    const bool switched = setgroups(groups.size(), groups.data()) == 0 &&
                          setresgid(ids.group, ids.group, ids.group) == 0 &&
                          setresuid(ids.user, ids.user, ids.user) == 0;
    _exit(switched && access(file.c_str(), mode) == 0 ? 0 : 1);
  }
  return wait_child(pid) == 0;
}

fs::path reachable_for(const std::string& qemu_user, const fs::path& file, const std::function<fs::path()>& stage)
{
  fs::path absolute = fs::absolute(file);
  if (qemu_user.empty() || may_access(qemu_user, absolute, R_OK)) return absolute;
  const std::string tried = "making " + absolute.string() + " readable for libvirt's QEMU user";
  fs::path staged = stage() / absolute.filename();
  if (link(absolute.c_str(), staged.c_str()) == 0 && may_access(qemu_user, staged, R_OK)) return staged;
  std::error_code error;
  fs::remove(staged, error);
  fs::copy_file(absolute, staged, error);
  if (error)
    throw Failure(Exit::target_lost, tried, error.message(),
                  "free some space in " + staged.parent_path().parent_path().string());
  chmod(staged.c_str(), 0644);
  return staged;
}

void give_to(const std::string& qemu_user, int file, const fs::path& name)
{
  if (qemu_user.empty()) return;
  const Ids ids = parse_ids(qemu_user);
  if (fchown(file, ids.user, ids.group) != 0)
    throw Failure(Exit::target_lost, "giving " + name.string() + " to libvirt's QEMU user", errno_text());
}

}  // namespace morsel::testvm
