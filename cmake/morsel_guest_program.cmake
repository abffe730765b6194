# SPDX-License-Identifier: GPL-2.0-or-later
#
# morsel_add_guest_program(NAME <name> SOURCES <file>... [LIBS <target>...] [WITH <part>])
#
# A program for the guest: static, without symbols, in <build>/guest/bin; everything there goes into the guest's /bin.
# WITH: in <build>/guest/with-<part>, for images that have this part.
# `guest-programs` builds all of them.
# The guest has no sanitizer runtime (and none links statically), so such builds leave these programs out.
function(morsel_add_guest_program)
  cmake_parse_arguments(ARG "" "NAME;WITH" "SOURCES;LIBS" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS OR NOT ARG_NAME OR NOT ARG_SOURCES)
    message(FATAL_ERROR "morsel_add_guest_program: wants NAME and SOURCES; not understood: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(MORSEL_SANITIZE)
    return()
  endif()
  add_executable(${ARG_NAME} ${ARG_SOURCES})
  set(folder bin)
  if(ARG_WITH)
    set(folder "with-${ARG_WITH}")
  endif()
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/guest/${folder}")
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_LIBS})
  target_link_options(${ARG_NAME} PRIVATE -static -s)
  if(NOT TARGET guest-programs)
    add_custom_target(guest-programs)
  endif()
  add_dependencies(guest-programs ${ARG_NAME})
endfunction()
