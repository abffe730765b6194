# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of scripts/tidy. Each rule is a function that yields findings for one file or for the whole tree."""
