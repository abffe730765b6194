// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rows on an AMD64 view that the CPU walks for this process, filled by page faults. A CPU keeps what it has cached when
// a process asks the kernel for something, as long as nobody else runs on it: so one thread sees a flush that was left
// out. What may be used stale need not be; then it is tried again.
#include <csetjmp>
#include <csignal>
#include <functional>

#include "testvm/guest/hardware/object.hpp"
#include "testvm/guest/hardware/row.hpp"

namespace morsel::guest {
namespace {

constexpr int tries = 100;
constexpr u64 words_of_page = page_bytes / sizeof(u64);

sigjmp_buf after_fault;

void on_fault(int number) { siglongjmp(after_fault, number); }

// Whether the access ends without a signal.
bool access(volatile u64* word, bool write, u64* value)
{
  if (sigsetjmp(after_fault, 1)) return false;
  if (write)
    *word = *value;
  else
    *value = *word;
  return true;
}

// An object, and a view of it that this process has mapped; the primary it has not, whose flushes would be its own.
class Mapped : public Object {
 public:
  Mapped() : words_(map_view(add_view(MORSEL_FORMAT_AMD64)))
  {
    struct sigaction action {};
    action.sa_handler = on_fault;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
  }
  ~Mapped()
  {
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
  }
  volatile u64& word(u64 offset) { return words_[offset / sizeof(u64)]; }
  std::string reading(u64 offset)
  {
    u64 value = 0;
    return access(&word(offset), false, &value) ? "reads " + std::to_string(value)
                                                : "fault, and the primary forbids it";
  }
  std::string writing(u64 value, u64 offset)
  {
    if (!access(&word(offset), true, &value)) return "fault, and the primary forbids it";
    return std::to_string(touch(right_read, offset)) + " stands there";
  }
  u64 fills_of_reads(u64 start, u64 end)
  {
    const u64 before = fills();
    for (u64 at = start; at < end; at += page_bytes) reading(at);
    return fills() - before;
  }

 private:
  volatile u64* const words_;
};

Section fill_section()
{
  Section section{"Lazy fill", "a page that is missing costs one fault, once", {}};
  Mapped m;
  const u64 small = 16 * page_bytes;
  const auto row = [&](const char* what, const char* expected, u64 fills) {
    section.rows.push_back({what, expected, count(fills, "fills")});
  };
  m.populate(0, small, 0);
  row("16 pages, each read for the first time", "16 fills", m.fills_of_reads(0, small));
  row("the same again", "0 fills", m.fills_of_reads(0, small));
  m.unmap(3 * page_bytes, 4 * page_bytes);
  m.populate(3 * page_bytes, 4 * page_bytes, 0);
  row("one of them unmapped and populated, all read", "1 fills", m.fills_of_reads(0, small));
  m.populate(4 * mebibyte, 6 * mebibyte, 1);
  // Linux's tables lead to one of the view's there, whose leaves are small.
  row("512 pages of one 2-MiB leaf, in pieces of 4 KiB", "512 fills", m.fills_of_reads(4 * mebibyte, 6 * mebibyte));
  m.protect(0, page_bytes, right_read);
  m.reading(0);
  section.rows.push_back(
      {"a write to a page that has become read-only", "fault, and the primary forbids it", m.writing(1, 0)});
  m.protect(0, page_bytes, rights_rw);
  const u64 before = m.fills();
  m.writing(1, 0);
  row("a write after the right has come back", "1 fills", m.fills() - before);
  return section;
}

Section sharing_section()
{
  Section section{"Two mappings, one object", "one frame for each page, whoever writes: nothing is copied", {}};
  constexpr u64 pages = 256;
  Mapped m;
  volatile u64* const primary = m.words();
  for (u64 i = 0; i < pages; ++i) primary[i * words_of_page] = 1000 + i;
  const u64 frames = m.frames();
  u64 right = 0;
  for (u64 i = 0; i < pages; ++i) right += m.word(i * page_bytes) == 1000 + i;
  section.rows.push_back({"256 pages written by the primary, read by the view", "256 right", count(right, "right")});
  for (u64 i = 0; i < pages; ++i) m.word(i * page_bytes + 8) = 2000 + i;
  right = 0;
  for (u64 i = 0; i < pages; ++i) right += primary[i * words_of_page + 1] == 2000 + i;
  section.rows.push_back(
      {"the same pages written by the view, read by the primary", "256 right", count(right, "right")});
  section.rows.push_back(
      {"frames that the object has more than before", "0 frames", count(m.frames() - frames, "frames")});
  return section;
}

// `inject` is called where the preset is to be armed; each try has an object of its own.
using Inject = std::function<void()>;
using Work = std::string (*)(Mapped& m, const Inject& inject);

// `preset`: null: nothing is left out.
Row fault_row(const char* preset, const char* what, const char* expected, Work work)
{
  std::string seen;
  for (int i = 0; i < (preset ? tries : 1) && seen != expected; ++i) {
    Mapped m;
    seen = work(m, [&] {
      if (preset) m.inject_preset(preset, FormatId::amd64);
    });
  }
  return {std::string(preset ? preset : "nothing left out") + ": " + what, expected, seen};
}

// Arming rewrites the kernel's code, by a page table of its own: what is cached is cached again.
std::string unmapped(Mapped& m, const Inject& inject)
{
  m.word(0) = 41;
  inject();
  m.reading(0);
  m.unmap(0, page_bytes);
  return m.reading(0);
}

// A flush of the view comes, for another page, when the old one has been read.
std::string flushed_late(Mapped& m, const Inject& inject)
{
  m.word(page_bytes) = 1;
  std::string seen = unmapped(m, inject);
  m.unmap(page_bytes, 2 * page_bytes);
  return seen + ", then " + m.reading(0);
}

std::string made_read_only(Mapped& m, const Inject& inject)
{
  m.word(0) = 40;
  inject();
  m.word(0) = 41;
  m.protect(0, page_bytes, right_read);
  return m.writing(43, 0);
}

std::string filled_read_only(Mapped& m, const Inject& inject)
{
  m.touch(right_write, 0, 41);
  m.protect(0, page_bytes, right_read);
  inject();
  m.reading(0);
  return m.writing(43, 0);
}

std::string beside(Mapped& m, const Inject& inject)
{
  m.populate(0, 2 * mebibyte, 1);
  m.split(0, 2 * mebibyte);
  m.touch(right_write, 0, 41);
  m.touch(right_write, page_bytes, 42);
  inject();
  return m.reading(0);
}

std::string moved(Mapped& m, const Inject& inject)
{
  constexpr u64 last = page_bytes - sizeof(u64);
  for (const u64 at : {u64{0}, last}) m.word(at) = 7;
  inject();
  m.migrate(0, page_bytes);
  return m.reading(0) + ", " + m.reading(last);
}

std::string harvested(Mapped& m, const Inject& inject)
{
  m.word(0) = 40;
  inject();
  m.word(0) = 41;
  m.harvest_dirty(page_bytes);
  std::string seen = m.writing(43, 0);
  return seen + (m.harvest_dirty(page_bytes) & 1 ? ", reported dirty" : ", reported clean");
}

Section fault_section_of_process()
{
  constexpr const char* forbidden = "fault, and the primary forbids it";
  constexpr const char* forbid = "page made read-only, written";
  constexpr const char* fill = "a page that is r-- in the primary, read, then written";
  constexpr const char* neighbour = "a page with 41, beside one with 42, read";
  constexpr const char* move = "a page full of 7 is moved, its first and its last word read";
  constexpr const char* harvest = "a written page is harvested, written again";
  return {
      "Faults of the protocol",
      "`inject preset`: what it says that hardware does. A hole is populated; the unmapped page had 41",
      {fault_row(nullptr, "page unmapped, read", "reads 0", unmapped),
       fault_row("lost-invalidation", "page unmapped, read", "reads 41", unmapped),
       fault_row("dropped-flush", "page unmapped, read", "reads 41", unmapped),
       fault_row("wrong-range", "page unmapped, read", "reads 41", unmapped),
       fault_row("dropped-flush", "page unmapped, read; then flushed, read", "reads 41, then reads 0", flushed_late),
       fault_row(nullptr, forbid, forbidden, made_read_only),
       fault_row("lost-invalidation", forbid, "43 stands there", made_read_only),
       fault_row("dropped-flush", forbid, "43 stands there", made_read_only),
       fault_row(nullptr, fill, forbidden, filled_read_only),
       fault_row("rights-widened", fill, "43 stands there", filled_read_only),
       fault_row(nullptr, neighbour, "reads 41", beside), fault_row("wrong-frame", neighbour, "reads 42", beside),
       fault_row(nullptr, move, "reads 7, reads 7", moved), fault_row("torn-copy", move, "reads 7, reads 0", moved),
       fault_row(nullptr, harvest, "43 stands there, reported dirty", harvested),
       fault_row("dropped-flush", harvest, "43 stands there, reported clean", harvested)}};
}

}  // namespace

std::vector<Section> process_sections() { return {fill_section(), sharing_section(), fault_section_of_process()}; }

}  // namespace morsel::guest
