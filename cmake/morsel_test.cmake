# SPDX-License-Identifier: GPL-2.0-or-later
#
# morsel_add_test(NAME <name> SOURCES <file>... [LIBS <target>...] [LABELS <label>...] [ENVIRONMENT <VAR=value>...]
#                 [TIMEOUT <seconds>] [OWN_MAIN] [WHOLE])
#
# A GoogleTest program. Every TEST in it becomes a test of ctest; with WHOLE, or with the label `vm` (whose tests share
# one machine), the program is one test. OWN_MAIN: the sources bring main(). The component's first folder, and its
# first two with a dash, are labels and targets: `ninja tests-engine && ctest -L '^engine$'`, also for engine-morsel.
#
# morsel_add_script_test(NAME <name> COMMAND <word>... [LABELS ...] [ENVIRONMENT ...] [TIMEOUT <seconds>])
#
# A command that succeeds by exit status 0 and is skipped by 77.
#
# TIMEOUT is a guard against hangs, not an expectation.
find_package(GTest REQUIRED)
include(GoogleTest)

function(_morsel_test_labels result)
  file(RELATIVE_PATH folder "${CMAKE_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
  string(REGEX REPLACE "/tests$" "" folder "${folder}")
  string(REGEX REPLACE "/.*" "" first "${folder}")
  string(REGEX REPLACE "^([^/]*)/([^/]*).*" "\\1-\\2" second "${folder}")
  set(labels ${first} ${second})
  list(REMOVE_DUPLICATES labels)
  set(${result} ${labels} PARENT_SCOPE)
endfunction()

function(morsel_add_test)
  cmake_parse_arguments(ARG "OWN_MAIN;WHOLE" "NAME;TIMEOUT" "SOURCES;LIBS;LABELS;ENVIRONMENT" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS OR NOT ARG_NAME OR NOT ARG_SOURCES)
    message(FATAL_ERROR "morsel_add_test: wants NAME and SOURCES; not understood: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  _morsel_test_labels(folders)

  add_executable(${ARG_NAME} ${ARG_SOURCES})
  set_target_properties(${ARG_NAME} PROPERTIES MORSEL_IS_TEST TRUE
                        RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_LIBS} GTest::gtest)
  if(NOT ARG_OWN_MAIN)
    target_link_libraries(${ARG_NAME} PRIVATE GTest::gtest_main)
  endif()
  foreach(label IN LISTS folders ARG_LABELS)
    if(NOT TARGET tests-${label})
      add_custom_target(tests-${label})
    endif()
    add_dependencies(tests-${label} ${ARG_NAME})
  endforeach()

  if("vm" IN_LIST ARG_LABELS OR ARG_WHOLE)
    add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
    set_tests_properties(${ARG_NAME} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${folders};${ARG_LABELS}"
                         ENVIRONMENT "${ARG_ENVIRONMENT}")
    if("vm" IN_LIST ARG_LABELS)
      set_tests_properties(${ARG_NAME} PROPERTIES RUN_SERIAL TRUE)
    endif()
  else()
    # gtest_discover_tests loses lists in PROPERTIES: a script that ctest reads after the discovered tests sets them.
    gtest_discover_tests(${ARG_NAME} TEST_PREFIX "${ARG_NAME}." DISCOVERY_TIMEOUT 120 NO_PRETTY_VALUES
                         TEST_LIST ${ARG_NAME}_TESTS
                         PROPERTIES TIMEOUT ${ARG_TIMEOUT})
    set(script "${CMAKE_CURRENT_BINARY_DIR}/${ARG_NAME}_properties.cmake")
    file(GENERATE OUTPUT "${script}" CONTENT "foreach(test IN LISTS ${ARG_NAME}_TESTS)
  set_tests_properties(\"\${test}\" PROPERTIES LABELS \"${folders};${ARG_LABELS}\" ENVIRONMENT \"${ARG_ENVIRONMENT}\")
endforeach()
")
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${script}")
  endif()
endfunction()

function(morsel_add_script_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT" "COMMAND;LABELS;ENVIRONMENT" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS OR NOT ARG_NAME OR NOT ARG_COMMAND)
    message(FATAL_ERROR "morsel_add_script_test: wants NAME and COMMAND; not understood: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  _morsel_test_labels(folders)
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_COMMAND} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties(${ARG_NAME} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${ARG_TIMEOUT}
                       ENVIRONMENT "${ARG_ENVIRONMENT}" LABELS "${folders};${ARG_LABELS}")
  if("vm" IN_LIST ARG_LABELS)
    set_tests_properties(${ARG_NAME} PROPERTIES RUN_SERIAL TRUE)
  endif()
endfunction()

# morsel_add_fuzzer(NAME <name> SOURCES <file>... [LIBS <target>...])
#
# A libFuzzer program in <build>/fuzz, made in the preset `asan` only; scripts/fuzz runs all of them.
function(morsel_add_fuzzer)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LIBS" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS OR NOT ARG_NAME OR NOT ARG_SOURCES)
    message(FATAL_ERROR "morsel_add_fuzzer: wants NAME and SOURCES; not understood: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT MORSEL_FUZZ)
    return()
  endif()
  add_executable(${ARG_NAME} ${ARG_SOURCES})
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_LIBS})
  target_link_options(${ARG_NAME} PRIVATE -fsanitize=fuzzer)
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)
  endif()
  add_dependencies(fuzzers ${ARG_NAME})
endfunction()
