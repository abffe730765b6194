# SPDX-License-Identifier: GPL-2.0-or-later
#
# Compiler flags of all hosted code. Warnings are errors; -Wconversion is left out of tests (morsel_test.cmake), where
# literals of every width would only hide the assertion.
add_compile_options(-Wall -Wextra -Wshadow -Werror)
# In C, -Wconversion would bring -Wsign-conversion with it; in C++ it does not.
set(MORSEL_STRICT_WARNINGS -Wconversion -Wno-sign-conversion)
add_compile_options("$<$<NOT:$<BOOL:$<TARGET_PROPERTY:MORSEL_IS_TEST>>>:${MORSEL_STRICT_WARNINGS}>")

# gcc 12 takes "text" + std::move(string) for overlapping copies when it optimises (its bug 105651).
add_compile_options("$<$<AND:$<CONFIG:Release>,$<COMPILE_LANG_AND_ID:CXX,GNU>>:-Wno-restrict>")

# The build for development keeps assertions and stays quick to compile: backtraces with lines, but no local variables,
# which cost a quarter of the time. With them: cmake --preset dev -DCMAKE_BUILD_TYPE=Debug
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O1 -g1")
# scripts/coverage: every line keeps its own counter. Not --coverage, which a target could not switch off again.
set(CMAKE_CXX_FLAGS_COVERAGE "-O0 -g -fprofile-arcs -ftest-coverage")
set(CMAKE_EXE_LINKER_FLAGS_COVERAGE "--coverage")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Kind of build" FORCE)
endif()

find_program(MORSEL_CCACHE ccache)
if(MORSEL_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${MORSEL_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${MORSEL_CCACHE}")
endif()
