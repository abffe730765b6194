# SPDX-License-Identifier: GPL-2.0-or-later
#
# Target `kernel`: the guest's kernel and its headers, unpacked into the build folder and never installed on the host.
# <build>/kernel/kernel.env names what is there (KERNEL_RELEASE, VMLINUX, KDIR, MODULES). The user's own kernel is taken
# by MORSEL_KERNEL= and MORSEL_KDIR= in the environment of the configuration.
set(MORSEL_KERNEL_DIR "${CMAKE_BINARY_DIR}/kernel")
set(MORSEL_KERNEL_ENV "${MORSEL_KERNEL_DIR}/kernel.env")
set(MORSEL_KERNEL "$ENV{MORSEL_KERNEL}" CACHE FILEPATH "Own kernel image (empty: Debian's)")
set(MORSEL_KDIR "$ENV{MORSEL_KDIR}" CACHE PATH "Own kernel's build folder, for the module (empty: Debian's)")

set(unpack_kernel "${CMAKE_SOURCE_DIR}/testvm/image/unpack-kernel")
if(EXISTS "${unpack_kernel}")
  add_custom_command(
    OUTPUT "${MORSEL_KERNEL_ENV}"
    COMMAND "${CMAKE_COMMAND}" -E env "MORSEL_KERNEL=${MORSEL_KERNEL}" "MORSEL_KDIR=${MORSEL_KDIR}"
            "${unpack_kernel}" "${MORSEL_KERNEL_DIR}"
    DEPENDS "${unpack_kernel}"
    COMMENT "Unpacking the guest's kernel and headers"
    VERBATIM)
  add_custom_target(kernel DEPENDS "${MORSEL_KERNEL_ENV}")
endif()
