# SPDX-License-Identifier: GPL-2.0-or-later
#
# MORSEL_SANITIZE names the sanitizers of the whole build, as the compiler spells them: "address,undefined", "thread",
# "fuzzer-no-link,address,undefined" (clang). Programs for libFuzzer add -fsanitize=fuzzer themselves (MORSEL_FUZZ).
set(MORSEL_SANITIZE "" CACHE STRING "Sanitizers for the whole build, comma-separated")
option(MORSEL_FUZZ "Build the libFuzzer programs (needs clang)" OFF)

if(MORSEL_SANITIZE)
  add_compile_options(-fsanitize=${MORSEL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MORSEL_SANITIZE})
  # gcc tells sources by a macro, clang does not.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND MORSEL_SANITIZE MATCHES "address")
    add_compile_definitions(__SANITIZE_ADDRESS__)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND MORSEL_SANITIZE MATCHES "thread")
    add_compile_definitions(__SANITIZE_THREAD__)
  endif()
endif()
if(MORSEL_FUZZ AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "MORSEL_FUZZ needs clang: use the preset 'asan'")
endif()
