// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/message.hpp"

namespace morsel::testvm {

std::string printable(const std::string& text, std::size_t bytes)
{
  std::string result;
  for (const char c : text.substr(0, bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\r') continue;
    result += c == '\n' || c == '\t' || (byte >= 0x20 && byte != 0x7f) ? c : '?';
  }
  if (text.size() > bytes) result += "…";
  return result;
}

}  // namespace morsel::testvm
