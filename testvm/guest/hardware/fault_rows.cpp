// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a vCPU sees when a step of the protocol is left out, or done wrong: a row for each preset of `inject preset`
// that says what hardware makes of it, and is offered for the format. The rules are the presets' own.
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "engine/session/presets.hpp"
#include "testvm/guest/hardware/watched.hpp"

namespace morsel::guest {
namespace {

constexpr u64 flags_page = 8 * page_bytes;  // word 0: the guest waits; word 1: it is to go on
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
morsel_vcpu_run unmapped_while_it_runs(Watched& w)
{
  constexpr u8 code[] = {0x48, 0x8b, 0x33,                 // mov (%rbx), %rsi
                         0x48, 0xc7, 0x01, 1,    0, 0, 0,  // movq $1, (%rcx)
                         0x48, 0x83, 0x79, 0x08, 0,        // 1: cmpq $0, 8(%rcx)
                         0x74, 0xf9,                       // je 1b
                         0x48, 0x8b, 0x03};                // mov (%rbx), %rax
  morsel_vcpu_run run{};
  std::atomic<bool> over = false;
  std::jthread guest([&] {
    stay_on_cpu(1);
    run = w.guest_code(code, 0, flags_page);
    over = true;
  });
  while (!over && !w.touch(right_read, flags_page)) {
  }
  w.unmap(0, page_bytes);
  w.touch(right_write, flags_page + sizeof(u64), 1);
  guest.join();
  return run;
}

// As often as it takes until no interrupt of the host comes between. `preset`: null: nothing is left out, and the flush
// itself is one.
std::string unmapped_while_it_runs(const Walker& walker, const char* preset)
{
  Watched w(walker);
  for (int i = 0; i < tries; ++i) {
    w.touch(right_write, 0, 41);
    for (const u64 word : {flags_page, flags_page + sizeof(u64)}) w.touch(right_write, word, 0);
    w.guest(right_read, 0);
    w.guest(right_write, flags_page, 0);
    w.clear_injected();
    if (preset) w.inject_preset(preset, walker.format.id);
    const morsel_vcpu_run run = unmapped_while_it_runs(w);
    if (!preset || run.interrupts == 0) return Watched::text(run);
  }
  return "interrupted again and again";
}

class Faults {
 public:
  explicit Faults(const Walker& walker) : walker_(walker) {}

  // `preset`: null: nothing is left out.
  void unmapped(const char* preset, const char* expected)
  {
    Watched w(walker_);
    fill(w);
    inject(w, preset);
    w.unmap(0, page_bytes);
    add(preset, "page unmapped, read", expected, w.reading(0));
  }
  void unmapped_under_guest(const char* preset, const char* expected)
  {
    add(preset, "page unmapped while the guest runs, read", expected, unmapped_while_it_runs(walker_, preset));
  }
  void made_read_only(const char* preset, const char* expected)
  {
    Watched w(walker_);
    fill(w);
    inject(w, preset);
    w.protect(0, page_bytes, right_read);
    write(w, preset, "page made read-only, written", expected);
  }
  void filled_read_only(const char* preset, const char* expected)
  {
    Watched w(walker_);
    w.words()[0] = 41;
    w.protect(0, page_bytes, right_read);
    inject(w, preset);
    w.guest(right_read, 0);
    write(w, preset, "a page that is r-- in the primary, read, then written", expected);
  }
  void beside(const char* preset, const char* expected)
  {
    Watched w(walker_);
    w.populate(0, 2 * mebibyte, 1);
    w.split(0, 2 * mebibyte);
    w.words()[0] = 41;
    w.words()[page_bytes / sizeof(u64)] = 42;
    inject(w, preset);
    add(preset, "a page with 41, beside one with 42, read", expected, w.reading(0));
  }
  void moved(const char* preset, const char* expected)
  {
    constexpr u64 last = page_bytes - sizeof(u64);
    Watched w(walker_);
    for (const u64 at : {u64{0}, last}) w.words()[at / sizeof(u64)] = 7;
    w.guest(right_read, 0);
    inject(w, preset);
    w.migrate(0, page_bytes);
    add(preset, "a page full of 7 is moved, its first and its last word read", expected,
        w.reading(0) + ", " + w.reading(last));
  }
  void malformed(const char* preset)
  {
    Watched w(walker_);
    w.words()[0] = 41;
    inject(w, preset);
    add(preset, "a page is filled, read", no_fill_mends_it, w.reading(0));
    for (const Rights right : {right_read, right_write})
      add(preset, right.write() ? "written without a fill" : "read without a fill", "malformed",
          std::string(outcome_word(outcome_of(w.guest(right, 0, 0, MORSEL_VCPU_NO_FILL)))));
  }
  bool offers(const char* preset) const { return session::find_preset(preset)->bits(walker_.format.id) != 0; }
  std::vector<Row> take() { return std::move(rows_); }

 private:
  static void fill(Watched& w)
  {
    w.words()[0] = 41;
    w.guest(right_read, 0);
    w.guest(right_write, 8, 1);
  }
  void inject(Watched& w, const char* preset) const
  {
    if (preset) w.inject_preset(preset, walker_.format.id);
  }
  void add(const char* preset, const char* what, const char* expected, std::string seen)
  {
    rows_.push_back({std::string(preset ? preset : "nothing left out") + ": " + what, expected, std::move(seen)});
  }
  void write(Watched& w, const char* preset, const char* what, const char* expected)
  {
    const auto run = w.guest(right_write, 0, 43);
    add(preset, what, expected,
        run.result == MORSEL_VCPU_DONE ? std::to_string(w.words()[0]) + " stands there" : Watched::text(run));
  }

  const Walker& walker_;
  std::vector<Row> rows_;
};

}  // namespace

Section fault_section(const Walker& walker)
{
  constexpr const char* hole = "violation, and the primary has a hole";
  constexpr const char* forbidden = "violation, and the primary forbids it";
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
