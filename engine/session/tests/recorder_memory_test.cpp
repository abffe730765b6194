// SPDX-License-Identifier: GPL-2.0-or-later
//
// A recording whose host runs out of memory. A program of its own, because its `operator new` fails when it is told to.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <utility>

#include "engine/session/tests/random_history.hpp"
#include "engine/sim/embedded_target.hpp"

namespace {

// The allocation of this thread that fails, counted down to it; 0: none.
thread_local morsel::u64 failing_allocation = 0;

bool fails_now() { return failing_allocation != 0 && --failing_allocation == 0; }

}  // namespace

// Not inlined: gcc would see malloc beside delete, and warn.
[[gnu::noinline]] void* operator new(std::size_t bytes)
{
  void* const at = fails_now() ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
  if (!at) throw std::bad_alloc();
  return at;
}
[[gnu::noinline]] void operator delete(void* at) noexcept { std::free(at); }
[[gnu::noinline]] void operator delete(void* at, std::size_t) noexcept { std::free(at); }

namespace morsel::session {
namespace {

// What follows fails at the n-th allocation. Returns whether it came to that.
template <class Work>
bool with_failing_allocation(u64 n, Work&& work)
{
  failing_allocation = n;
  work();
  return std::exchange(failing_allocation, 0) == 0;
}

// The same operations each time.
class Recording {
 public:
  Recording()
  {
    recorder_.start(*target_);
    for (int look = 0; look < 3; ++look) {
      some_operations(4);
      before_.emplace_back(*target_, recorder_);
    }
    records_ = recorder_.chronicle().journal.size();
    some_operations(40);
  }
  bool sync_with_failing_allocation(u64 n)
  {
    return with_failing_allocation(n, [this] { recorder_.sync(*target_); });
  }
  // Of the records that came last nothing is there.
  void expect_given_up()
  {
    EXPECT_FALSE(recorder_.on());
    EXPECT_EQ(recorder_.ended(), "there is no memory for more records");
    EXPECT_FALSE(target_->journal()->recording());
    ASSERT_EQ(recorder_.chronicle().journal.size(), records_);
    ASSERT_EQ(recorder_.chronicle().history->size(), records_);
    for (const Seen& s : before_) ASSERT_NO_FATAL_FAILURE(s.expect_shown_by(recorder_));
  }
  // Returns whether they were counted, as they are once they have been read. Then a recording can begin again.
  bool expect_counted()
  {
    const Journal& journal = recorder_.chronicle().journal;
    const u64 lost = journal.lost, last = journal.sequence_at(journal.size());
    recorder_.start(*target_);
    target_->create_object("after", 4 * page_bytes, {});
    const Seen again(*target_, recorder_);
    again.expect_shown_by(recorder_);
    const u64 between = recorder_.chronicle().journal.sequence_at(0) - last;
    EXPECT_TRUE(lost == between || lost == 0) << lost << " of " << between;
    return lost != 0;
  }

 private:
  void some_operations(int count)
  {
    for (int n = 0; n < count; ++n) operations_.any();
  }

  std::unique_ptr<Target> target_ = sim::make_embedded_target(u64{64} << 20);
  Recorder recorder_;
  RandomOperations operations_{*target_, first_seed(), 16};
  std::vector<Seen> before_;
  u64 records_ = 0;
};

TEST(RecorderWithoutMemory, KeepsJournalAndHistoryOfTheSameRecords)
{
  u64 n = 0, counted = 0;
  for (bool failed = true; failed;) {
    SCOPED_TRACE("allocation " + std::to_string(++n));
    Recording run;
    failed = run.sync_with_failing_allocation(n);
    if (!failed) break;
    ASSERT_NO_FATAL_FAILURE(run.expect_given_up());
    counted += run.expect_counted();
  }
  EXPECT_GT(n, 60u) << "allocations of one look at the journal";
  EXPECT_GE(counted + 3, n - 1) << "all but those of the look itself";
}

}  // namespace
}  // namespace morsel::session
