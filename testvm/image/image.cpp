// SPDX-License-Identifier: GPL-2.0-or-later
//
// Which files go where in the guest, and whether the image is still what they would make.
#include "testvm/image/image.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "engine/session/failure.hpp"
#include "testvm/image/archive.hpp"
#include "testvm/image/atomic_file.hpp"
#include "testvm/image/dynamic_program.hpp"
#include "testvm/image/kernel_modules.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

constexpr const char* tried = "building the guest's initramfs";
constexpr const char* layout_version = "initramfs layout 1";
constexpr const char* guest_modules = "/lib/morsel/modules";
constexpr const char* mount_points[] = {"/dev", "/proc", "/sys", "/tmp", "/morsel", "/root"};

// All files of the image, sorted by destination, with the order in which init loads the kernel's modules.
struct Contents {
  std::vector<ImageFile> files;
  std::string load_order;
};

Contents contents_of(const ImageInputs& inputs)
{
  Contents contents;
  contents.files = {
      {inputs.init, "/init", 0755}, {inputs.busybox, "/bin/busybox", 0755}, {inputs.agent, "/bin/morsel-agent", 0755}};
  for (const fs::path& file : load_order(inputs.modules, inputs.needed_modules)) {
    const std::string destination = std::string(guest_modules) + "/" + file.filename().string();
    contents.files.push_back({file, destination, 0644});
    contents.load_order += destination + "\n";
  }
  if (inputs.kernel_module) contents.files.push_back({*inputs.kernel_module, "/lib/morsel/morsel.ko", 0644});
  for (const fs::path& program : inputs.programs)
    contents.files.push_back({program, "/bin/" + program.filename().string(), 0755});
  contents.files.insert(contents.files.end(), inputs.extra.begin(), inputs.extra.end());

  auto& files = contents.files;
  std::sort(files.begin(), files.end(), [](auto& a, auto& b) { return a.destination < b.destination; });
  const auto twice =
      std::adjacent_find(files.begin(), files.end(), [](auto& a, auto& b) { return a.destination == b.destination; });
  if (twice != files.end())
    throw Failure(
        Exit::usage, tried,
        twice->destination + " would be both " + twice->source.string() + " and " + std::next(twice)->source.string());
  for (const ImageFile& file : files)
    if (!file.destination.starts_with('/'))
      throw Failure(Exit::usage, tried, "'" + file.destination + "' is not absolute");
  return contents;
}

// Size and time of a file: what tells a changed one.
std::string identity(const fs::path& file)
{
  struct stat s;
  if (stat(file.c_str(), &s) != 0)
    throw Failure(Exit::skipped, tried, file.string() + ": " + std::strerror(errno),
                  "build everything first (scripts/start does)");
  if (!S_ISREG(s.st_mode)) throw Failure(Exit::usage, tried, file.string() + " is not a regular file");
  return std::to_string(s.st_size) + " " + std::to_string(s.st_mtim.tv_sec) + "." + std::to_string(s.st_mtim.tv_nsec);
}

std::string describe(const Contents& contents)
{
  std::ostringstream text;
  text << layout_version << "\n" << contents.load_order;
  for (const ImageFile& file : contents.files)
    text << file.destination << " " << std::oct << file.mode << std::dec << " " << identity(file.source) << " "
         << file.source.string() << "\n";
  return text.str();
}

fs::path stamp_of(const ImageInputs& inputs) { return inputs.output.string() + ".stamp"; }

// The stamp names the inputs and the image made from them, so an image that was cut or replaced is noticed too.
bool is_current(const ImageInputs& inputs, const std::string& description)
{
  std::error_code missing;
  if (!fs::is_regular_file(inputs.output, missing)) return false;
  std::ifstream stream(stamp_of(inputs), std::ios::binary);
  const std::string stamp{std::istreambuf_iterator<char>(stream), {}};
  return stamp == description + identity(inputs.output) + "\n";
}

void add_folders(Archive& archive, const Contents& contents)
{
  std::set<std::string> folders(std::begin(mount_points), std::end(mount_points));
  folders.insert("/lib/morsel");
  for (const ImageFile& file : contents.files) folders.insert(fs::path(file.destination).parent_path().string());
  std::set<std::string> all;
  for (const std::string& folder : folders)
    for (fs::path path = folder; path != path.root_path(); path = path.parent_path()) all.insert(path.string());
  for (const std::string& folder : all) archive.add_folder(folder);  // sorted: a folder stands before what is in it
}

}  // namespace

void check_busybox(const fs::path& busybox)
{
  const char* advice = "apt-get install busybox-static";
  if (access(busybox.c_str(), R_OK) != 0)
    throw Failure(Exit::skipped, tried, busybox.string() + ": " + std::strerror(errno), advice);
  if (interpreter_of(busybox))
    throw Failure(Exit::skipped, tried, busybox.string() + " is linked dynamically, and cannot run in the guest",
                  advice);
}

bool image_is_current(const ImageInputs& inputs) { return is_current(inputs, describe(contents_of(inputs))); }

fs::path build_image(const ImageInputs& inputs)
{
  check_busybox(inputs.busybox);
  const Contents contents = contents_of(inputs);
  const std::string description = describe(contents);
  if (is_current(inputs, description)) return inputs.output;

  Archive archive;
  add_folders(archive, contents);
  archive.add_text("/lib/morsel/load-order", contents.load_order, 0644);
  for (const ImageFile& file : contents.files) archive.add_file(file);
  replace_file(inputs.output, archive.finish(), Durability::durable);
  // A stamp that is lost costs a rebuild.
  replace_file(stamp_of(inputs), description + identity(inputs.output) + "\n", Durability::lazy);
  return inputs.output;
}

}  // namespace morsel::testvm
