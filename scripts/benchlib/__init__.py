# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/bench measures (rows.py) and how (measure.py)."""
