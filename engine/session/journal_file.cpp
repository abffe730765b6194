// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/journal_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/session/journal_text.hpp"
#include "engine/session/output_file.hpp"

namespace morsel::session {

namespace {

constexpr char magic[] = {'M', 'O', 'R', 'S', 'J', 'R', 'N', 'F'};

// The history's position, put back at the end.
class PositionGuard {
 public:
  explicit PositionGuard(History& history) : history_(history), was_(history.position()) {}
  ~PositionGuard() { history_.go_to(was_); }
  PositionGuard(const PositionGuard&) = delete;
  PositionGuard& operator=(const PositionGuard&) = delete;

 private:
  History& history_;
  std::size_t was_;
};

std::vector<JournalFilePage> pages_of(History& history)
{
  std::vector<JournalFilePage> pages;
  for (const PhysAddr at : history.image().used_pages()) {
    JournalFilePage page{at.value, {}};
    std::memcpy(page.words, history.memory().words(at, TableImage::words_per_page), sizeof page.words);
    const JournalFilePage empty{at.value, {}};
    if (std::memcmp(&page, &empty, sizeof page) != 0) pages.push_back(page);
  }
  return pages;
}

// Reads the parts of a file one after the other.
class Parts {
 public:
  Parts(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  template <class T>
  std::span<const T> take(u64 count, std::string_view what)
  {
    if (count > (bytes_.size() - at_) / sizeof(T))
      refuse(fmt::format("it ends inside its {}: {} of {} bytes are said to be there", what, count, sizeof(T)));
    const auto* const first = reinterpret_cast<const T*>(bytes_.data() + at_);
    at_ += count * sizeof(T);
    return {first, count};
  }
  bool at_end() const { return at_ == bytes_.size(); }
  [[noreturn]] void refuse(const std::string& found) const
  {
    throw Failure(Exit::usage, "load the journal " + name_, found, "'journal save' writes files that can be loaded.");
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  const std::string& name_;
};

const JournalFileHeader& take_header(Parts& parts)
{
  const JournalFileHeader& header = parts.take<JournalFileHeader>(1, "header")[0];
  if (std::memcmp(header.magic, magic, sizeof magic) != 0) parts.refuse("this is no saved journal");
  if (header.version != journal_file_version)
    parts.refuse(fmt::format("it has version {} of the format; this program reads version {}", header.version,
                             journal_file_version));
  if (header.record_bytes != sizeof(JournalRecord) || header.reserved[0] != 0 || header.reserved[1] != 0)
    parts.refuse("its header is damaged");
  return header;
}

void take_pages(Parts& parts, u64 count, TableImage& image)
{
  for (const JournalFilePage& page : parts.take<JournalFilePage>(count, "pages")) {
    const auto first = image.index({page.address}, TableImage::words_per_page);
    if (!first || !is_aligned(page.address, page_bytes))
      parts.refuse(fmt::format("a page at {:#x} lies outside the memory that it describes", page.address));
    for (u64 i = 0; i < TableImage::words_per_page; ++i)
      if (page.words[i] != 0) image.set(*first + i, page.words[i]);
  }
}

// Each change must find what it says that it found.
void take_changes(Parts& parts, std::span<const JournalFileChange> changes, u64 records, History& history)
{
  std::vector<TableChange> of_one;
  std::size_t next = 0;
  for (u64 record = 0; record < records; ++record) {
    of_one.clear();
    for (; next < changes.size() && changes[next].record == record; ++next) {
      const JournalFileChange& c = changes[next];
      const auto index = history.image().index({c.address});
      if (!index) parts.refuse(fmt::format("change {} lies outside memory, at {:#x}", next, c.address));
      if (history.image().get(*index) != c.before)
        parts.refuse(fmt::format("change {} finds {:#x} at {:#x} where {:#x} stands", next, c.before, c.address,
                                 history.image().get(*index)));
      history.image().set(*index, c.after);
      of_one.push_back({*index, c.before, c.after});
    }
    history.append_saved(of_one);
  }
  if (next != changes.size()) parts.refuse(fmt::format("change {} belongs to no record in order", next));
}

void take_records(Parts& parts, std::span<const JournalRecord> records, Journal& journal)
{
  const u64 garbage = journal.garbage, lost = journal.lost;
  journal.append({{records.begin(), records.end()}, 0, 0});
  if (journal.garbage != garbage) parts.refuse("its records are not in order, or of points that do not exist");
  journal.lost = lost;
}

}  // namespace

void save_journal(Chronicle& chronicle, const std::string& path)
{
  History& history = *chronicle.history;
  const PositionGuard guard(history);
  history.go_to(0);
  const std::vector<JournalFilePage> pages = pages_of(history);
  std::string text = chronicle_text(chronicle);
  JournalFileHeader header{{}, journal_file_version, sizeof(JournalRecord), text.size(), pages.size(), 0,
                           chronicle.journal.size(), {}};
  std::memcpy(header.magic, magic, sizeof magic);
  text.resize(align_up(text.size(), sizeof(u64)));
  for (std::size_t r = 0; r < history.size(); ++r) header.changes += history.changes(r).size();
  OutputFile file(path, "save the journal to " + path);
  file.write(&header, sizeof header);
  file.write(text.data(), text.size());
  file.write(pages.data(), pages.size() * sizeof pages[0]);
  for (std::size_t r = 0; r < history.size(); ++r)
    for (const TableChange& c : history.changes(r)) {
      const JournalFileChange change{r, history.image().address(c.index).value, c.before, c.after};
      file.write(&change, sizeof change);
    }
  file.write(chronicle.journal.records().data(), chronicle.journal.size() * sizeof(JournalRecord));
  file.close();
}

Chronicle read_journal(std::span<const std::byte> bytes, const std::string& name)
{
  Parts parts(bytes, name);
  const JournalFileHeader& header = take_header(parts);
  if (header.text_bytes > bytes.size()) parts.refuse("it ends inside its description");
  const std::span<const char> text = parts.take<char>(align_up(header.text_bytes, sizeof(u64)), "description");
  Chronicle chronicle;
  try {
    chronicle = chronicle_of_text({text.data(), header.text_bytes}, header.records);
  } catch (const BadText& bad) {
    parts.refuse(bad.what());
  }
  take_pages(parts, header.pages, chronicle.history->image());
  const auto changes = parts.take<JournalFileChange>(header.changes, "changes");
  const auto records = parts.take<JournalRecord>(header.records, "records");
  if (!parts.at_end()) parts.refuse("bytes follow its last record");
  take_changes(parts, changes, header.records, *chronicle.history);
  take_records(parts, records, chronicle.journal);
  return chronicle;
}

Chronicle load_journal(const std::string& path)
{
  const auto fail = [&](const std::string& found) {
    return Failure(Exit::usage, "load the journal " + path, found, "'journal save FILE' writes one.");
  };
  // Not blocking: the path may name a pipe that nobody writes to.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) throw fail(std::strerror(errno));
  struct stat info {};
  std::vector<u64> words;
  const bool regular = ::fstat(file, &info) == 0 && S_ISREG(info.st_mode);
  std::size_t have = 0;
  if (regular) {
    const auto bytes = static_cast<std::size_t>(info.st_size);
    words.resize(bytes / sizeof(u64) + 1);
    for (ssize_t got = 1; have < bytes && got > 0; have += static_cast<std::size_t>(std::max<ssize_t>(got, 0)))
      got = ::read(file, reinterpret_cast<char*>(words.data()) + have, bytes - have);
  }
  ::close(file);
  if (!regular) throw fail("it is no ordinary file");
  return read_journal(std::as_bytes(std::span(words)).first(have), path);
}

}  // namespace morsel::session
