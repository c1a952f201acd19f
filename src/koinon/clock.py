"""The time of day, without its jumps.

A role counts its timeouts in seconds since the epoch. The clock on the wall may be set while it runs, by hand or by NTP:
then all that was to happen within the hour would happen at once, or nothing would for an hour.
"""

from __future__ import annotations

import time

#: A wrong clock is put right by running so much faster or slower.
_SLEW = 0.05


class SteadyClock:
    """Begins with the time on the wall, and counts what passes, also while the machine sleeps.

    When the wall shows another time it gets there gradually: it never goes back, and a minute is one give or take 3 s.
    """

    def __init__(self) -> None:
        self._read_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._shown_s = time.time()

    def now(self) -> float:
        """Seconds since the epoch."""
        read_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        passed_s, self._read_s = read_s - self._read_s, read_s
        behind_s = time.time() - self._shown_s - passed_s
        self._shown_s += passed_s + max(-_SLEW * passed_s, min(behind_s, _SLEW * passed_s))
        return self._shown_s
