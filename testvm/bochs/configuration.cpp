// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/bochs/configuration.hpp"

#include <sstream>

#include "testvm/bochs/boot_layout.h"

namespace morsel::testvm {

std::string bochs_configuration(const BochsFiles& files, u64 memory_bytes, u32 cpus)
{
  const u64 mebibytes = memory_bytes >> 20;
  std::ostringstream text;
  // The model has VMX with EPT, its accessed and dirty bits, and leaves of 1 GiB.
  text << "cpu: model=corei7_haswell_4770, count=" << cpus << ", ips=50000000, reset_on_triple_fault=0\n"
       << "memory: guest=" << mebibytes << ", host=" << mebibytes << "\n"
       << "optramimage1: file=\"" << files.memory.string() << "\", address=0x0\n"
       << "romimage: file=/usr/share/bochs/BIOS-bochs-latest\n"
       << "vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest\n"
       << "optromimage1: file=\"" << files.rom.string() << "\", address=0x" << std::hex << MORSEL_BOOT_ROM_AT
       << std::dec << "\n"
       << "com1: enabled=1, mode=file, dev=\"" << files.console.string() << "\"\n"
       << "com2: enabled=1, mode=socket-client, dev=127.0.0.1:1\n"
       << "ata0: enabled=0\nata1: enabled=0\n"
       << "display_library: term\n"
       << "clock: sync=none\n"
       << "log: \"" << files.log.string() << "\"\n"
       << "panic: action=fatal\nerror: action=report\ninfo: action=ignore\ndebug: action=ignore\n";
  return text.str();
}

}  // namespace morsel::testvm
