# SPDX-License-Identifier: GPL-2.0-or-later
#
# Libraries that are missing, all at once and by the names of Debian's packages. Who uses one asks for it again where it
# is used; here it is only looked for.

# morsel_need(<component> <Debian package> <arguments of find_package>...), or PKG_CONFIG <module>... instead of those
macro(morsel_need component package)
  if(NOT MORSEL_COMPONENTS OR "${component}" IN_LIST MORSEL_COMPONENTS)
    if("${ARGV2}" STREQUAL "PKG_CONFIG")
      find_package(PkgConfig QUIET)
      set(morsel_module ${ARGN})
      list(POP_FRONT morsel_module)
      set(MORSEL_NEED_FOUND FALSE)
      if(PkgConfig_FOUND)
        pkg_check_modules(MORSEL_NEED QUIET ${morsel_module})
      endif()
      set(morsel_found ${MORSEL_NEED_FOUND})
    else()
      find_package(${ARGN} QUIET)
      set(morsel_found ${${ARGV2}_FOUND})
    endif()
    if(NOT morsel_found)
      list(APPEND morsel_missing ${package})
    endif()
  endif()
endmacro()

set(morsel_missing "")
morsel_need(engine nlohmann-json3-dev nlohmann_json)
morsel_need(engine libfmt-dev fmt)
morsel_need(engine libboost-context-dev Boost COMPONENTS context)
morsel_need(engine libbenchmark-dev benchmark)
morsel_need(engine libgtest-dev GTest)
morsel_need(engine librapidcheck-dev rapidcheck)
morsel_need(testvm/image libarchive-dev LibArchive)
morsel_need(testvm/host pkg-config PkgConfig)
morsel_need(testvm/host libvirt-dev PKG_CONFIG libvirt libvirt-qemu)
morsel_need(testvm/host libpugixml-dev pugixml)
morsel_need(scripts/morselctl libcli11-dev CLI11)
morsel_need(gui qt6-base-dev Qt6 6.4 COMPONENTS Core Gui Widgets Test)
morsel_need(gui qt6-svg-dev Qt6Svg)

if(morsel_missing)
  list(REMOVE_DUPLICATES morsel_missing)
  list(JOIN morsel_missing " " morsel_missing)
  message(FATAL_ERROR "Configuring Morselscope: libraries are missing. As root:\n"
                      "  apt-get install --no-install-recommends ${morsel_missing}\n"
                      "or, for all that is needed: scripts/install-packages")
endif()
