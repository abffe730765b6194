// SPDX-License-Identifier: GPL-2.0-or-later
//
// An object, a view of it, and a vCPU on that.
#pragma once
#include <cerrno>
#include <span>
#include <vector>

#include "testvm/guest/hardware/object.hpp"
#include "testvm/guest/hardware/outcome.hpp"
#include "testvm/guest/hardware/row.hpp"

namespace morsel::guest {

// What cannot be had by any fill is told by this errno.
inline constexpr int tables_are_broken = EIO;
inline constexpr const char* no_fill_mends_it = "no fill mends it";

class Watched : public Object {
 public:
  explicit Watched(const Walker& walker) : vcpu_(make_vcpu(walker)) {}

  morsel_vcpu_run guest(Rights right, u64 offset, u64 value = 0, u32 flags = 0)
  {
    auto run = sized<morsel_vcpu_run>();
    run.program = right.write() ? MORSEL_VCPU_WRITE : MORSEL_VCPU_READ;
    run.offset = offset;
    run.value = value;
    run.flags = flags;
    run.timeout_ms = 20'000;
    request(vcpu_.get(), MORSEL_IOC_VCPU_RUN, &run, "running the vCPU");
    return run;
  }
  // A program, without its ending; rbx and rcx are its own.
  morsel_vcpu_run guest_code(std::span<const u8> code, u64 rbx, u64 rcx)
  {
    std::vector<u8> whole(code.begin(), code.end());
    for (u32 i = 0; i < MORSEL_VCPU_ENDING_BYTES; ++i) whole.push_back(static_cast<u8>(ending_ >> 8 * i));
    auto run = sized<morsel_vcpu_run>();
    run.program = MORSEL_VCPU_RUN_CODE;
    run.code = reinterpret_cast<std::uintptr_t>(whole.data());
    run.code_bytes = static_cast<u32>(whole.size());
    run.offset = rbx;
    run.expected = rcx;
    run.timeout_ms = 20'000;
    request(vcpu_.get(), MORSEL_IOC_VCPU_RUN, &run, "running the vCPU");
    return run;
  }
  // The result in words.
  std::string reading(u64 offset, Rights right = right_read)
  {
    auto run = sized<morsel_vcpu_run>();
    run.program = right.write() ? MORSEL_VCPU_WRITE : MORSEL_VCPU_READ;
    run.offset = offset;
    if (ioctl(vcpu_.get(), MORSEL_IOC_VCPU_RUN, &run)) return errno == tables_are_broken ? no_fill_mends_it : "?";
    return text(run);
  }
  static std::string text(const morsel_vcpu_run& run)
  {
    switch (run.result) {
      case MORSEL_VCPU_DONE: return "reads " + std::to_string(run.value);
      case MORSEL_VCPU_HOLE: return "violation, and the primary has a hole";
      case MORSEL_VCPU_DENIED: return "violation, and the primary forbids it";
      default: return "result " + std::to_string(run.result);
    }
  }
  u64 violations_of_reads(u64 start, u64 end)
  {
    u64 sum = 0;
    for (u64 at = start; at < end; at += page_bytes) sum += guest(right_read, at).violations;
    return sum;
  }

 private:
  int make_vcpu(const Walker& walker)
  {
    auto vcpu = sized<morsel_vcpu_create>();
    vcpu.view = add_view(static_cast<morsel_format>(walker.format.id));
    if (ioctl(fd(), MORSEL_IOC_VCPU, &vcpu)) throw NoVcpu{errno, vcpu.reason};
    ending_ = vcpu.ending;
    return vcpu.fd;
  }

  u32 ending_ = 0;  // make_vcpu() sets it
  Descriptor vcpu_;
};

}  // namespace morsel::guest
