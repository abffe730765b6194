# SPDX-License-Identifier: GPL-2.0-or-later
#
# The project's version, in one place. Versions of interfaces (ioctl, points, journal, agent) stand in their headers.
set(MORSEL_VERSION 0.1.0)
