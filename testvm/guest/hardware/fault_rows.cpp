// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a vCPU sees when a step of the protocol is left out, or done wrong: a row for each preset of `inject preset`
// that says what hardware makes of it, and is offered for the format. The rules are the presets' own.
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <exception>
#include <stdexcept>
#include <thread>

#include "engine/session/presets.hpp"
#include "testvm/guest/hardware/watched.hpp"

namespace morsel::guest {
namespace {

constexpr u64 flags = 8 * page_bytes;  // behind the page: word 0: the guest waits; word 1: it is to go on
constexpr u64 piece = 2 * mebibyte;
constexpr int tries = 1000;

void stay_on_cpu(int cpu)
{
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set)) throw std::runtime_error("there is no second CPU");
}

// The guest reads a page, waits, and reads it again, all in one entry into guest mode: then nothing but the translation
// that it has cached can be what it reads by. The page is unmapped in between. Nothing here maps the primary: a flush
// of that would interrupt all CPUs of the process.
morsel_vcpu_run unmapped_while_it_runs(Watched& w, u64 page)
{
  constexpr u8 code[] = {0x48, 0x8b, 0x33,                 // mov (%rbx), %rsi
                         0x48, 0xc7, 0x01, 1,    0, 0, 0,  // movq $1, (%rcx)
                         0x48, 0x83, 0x79, 0x08, 0,        // 1: cmpq $0, 8(%rcx)
                         0x74, 0xf9,                       // je 1b
                         0x48, 0x8b, 0x03};                // mov (%rbx), %rax
  morsel_vcpu_run run{};
  std::atomic<bool> over = false;
  std::exception_ptr failure;
  std::jthread guest([&] {
    try {
      stay_on_cpu(1);
      run = w.guest_code(code, page, page + flags);
    } catch (...) {
      failure = std::current_exception();
    }
    over = true;
  });
  while (!over && !w.touch(right_read, page + flags)) {
  }
  w.unmap(page, page + page_bytes);
  w.touch(right_write, page + flags + sizeof(u64), 1);
  guest.join();
  if (failure) std::rethrow_exception(failure);
  return run;
}

// As often as it takes until no interrupt of the host comes between. `preset`: null: nothing is left out, and the flush
// itself is one.
std::string unmapped_while_it_runs(Watched& w, u64 page, FormatId format, const char* preset)
{
  for (int i = 0; i < tries; ++i) {
    w.touch(right_write, page, 41);
    for (const u64 word : {page + flags, page + flags + sizeof(u64)}) w.touch(right_write, word, 0);
    w.guest(right_read, page);
    w.guest(right_write, page + flags, 0);
    w.clear_injected();
    if (preset) w.inject_preset(preset, format);
    const morsel_vcpu_run run = unmapped_while_it_runs(w, page);
    if (!preset || run.interrupts == 0) return Watched::text(run);
  }
  return "interrupted again and again";
}

// Each row has a piece of the object to itself.
class Faults {
 public:
  explicit Faults(const Walker& walker) : format_(walker.format.id), w_(walker) {}

  // `preset`: null: nothing is left out.
  void unmapped(const char* preset, const char* expected)
  {
    const u64 page = filled_page();
    inject(preset);
    w_.unmap(page, page + page_bytes);
    add(preset, "page unmapped, read", expected, w_.reading(page));
  }
  void unmapped_under_guest(const char* preset, const char* expected)
  {
    add(preset, "page unmapped while the guest runs, read", expected,
        unmapped_while_it_runs(w_, next_piece(), format_, preset));
  }
  void made_read_only(const char* preset, const char* expected)
  {
    const u64 page = filled_page();
    inject(preset);
    w_.protect(page, page + page_bytes, right_read);
    write(page, preset, "page made read-only, written", expected);
  }
  void filled_read_only(const char* preset, const char* expected)
  {
    const u64 page = next_piece();
    w_.touch(right_write, page, 41);
    w_.protect(page, page + page_bytes, right_read);
    inject(preset);
    w_.guest(right_read, page);
    write(page, preset, "a page that is r-- in the primary, read, then written", expected);
  }
  void beside(const char* preset, const char* expected)
  {
    const u64 page = next_piece();
    w_.populate(page, page + piece, 1);
    w_.split(page, page + piece);
    w_.touch(right_write, page, 41);
    w_.touch(right_write, page + page_bytes, 42);
    inject(preset);
    add(preset, "a page with 41, beside one with 42, read", expected, w_.reading(page));
  }
  void moved(const char* preset, const char* expected)
  {
    const u64 page = next_piece(), last = page + page_bytes - sizeof(u64);
    for (const u64 at : {page, last}) w_.touch(right_write, at, 7);
    w_.guest(right_read, page);
    inject(preset);
    w_.migrate(page, page + page_bytes);
    add(preset, "a page full of 7 is moved, its first and its last word read", expected,
        w_.reading(page) + ", " + w_.reading(last));
  }
  void malformed(const char* preset)
  {
    const u64 page = next_piece();
    w_.touch(right_write, page, 41);
    inject(preset);
    add(preset, "a page is filled, read", no_fill_mends_it, w_.reading(page));
    for (const Rights right : {right_read, right_write})
      add(preset, right.write() ? "written without a fill" : "read without a fill", "malformed",
          std::string(outcome_word(outcome_of(w_.guest(right, page, 0, MORSEL_VCPU_NO_FILL)))));
  }
  bool offers(const char* preset) const { return session::find_preset(preset)->bits(format_) != 0; }
  std::vector<Row> take() { return std::move(rows_); }

 private:
  u64 next_piece() { return pieces_++ * piece; }
  u64 filled_page()
  {
    const u64 page = next_piece();
    w_.touch(right_write, page, 41);
    w_.guest(right_read, page);
    w_.guest(right_write, page + 8, 1);
    return page;
  }
  void inject(const char* preset)
  {
    w_.clear_injected();
    if (preset) w_.inject_preset(preset, format_);
  }
  void add(const char* preset, const char* what, const char* expected, std::string seen)
  {
    rows_.push_back({std::string(preset ? preset : "nothing left out") + ": " + what, expected, std::move(seen)});
  }
  void write(u64 page, const char* preset, const char* what, const char* expected)
  {
    const auto run = w_.guest(right_write, page, 43);
    add(preset, what, expected,
        run.result == MORSEL_VCPU_DONE ? std::to_string(w_.touch(right_read, page)) + " stands there"
                                       : Watched::text(run));
  }

  const FormatId format_;
  Watched w_;
  u64 pieces_ = 0;
  std::vector<Row> rows_;
};

}  // namespace

Section fault_section(const Walker& walker)
{
  constexpr const char* hole = "violation, and the primary has a hole";
  constexpr const char* forbidden = "violation, and the primary forbids it";
  const Observed observed;
  Faults rows(walker);
  rows.unmapped(nullptr, hole);
  rows.unmapped("lost-invalidation", "reads 41");
  rows.unmapped_under_guest(nullptr, hole);
  rows.unmapped_under_guest("dropped-flush", "reads 41");
  rows.unmapped_under_guest("wrong-range", "reads 41");
  rows.made_read_only(nullptr, forbidden);
  rows.made_read_only("lost-invalidation", "43 stands there");
  rows.filled_read_only(nullptr, forbidden);
  rows.filled_read_only("rights-widened", "43 stands there");
  rows.beside(nullptr, "reads 41");
  rows.beside("wrong-frame", "reads 42");
  rows.moved(nullptr, "reads 7, reads 7");
  rows.moved("torn-copy", "reads 7, reads 0");
  for (const char* preset : {"reserved-bit", "ept-misconfiguration"})
    if (rows.offers(preset)) rows.malformed(preset);
  return {"Faults of the protocol", "`inject preset`: what it says that hardware does", rows.take()};
}

}  // namespace morsel::guest
