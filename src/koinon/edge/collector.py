"""Python's garbage collector, kept from stopping a large process.

Looking through all objects takes most of a second in a master of 200,000 tasks, and would happen every few seconds
under load, in vain: our records form no cycles, nor do connections that are closed. So what has survived a full
collection is *frozen*, that is, not looked at again (it is still freed when nobody refers to it). Should there be cycles
among old objects all the same, they are found when memory has grown far beyond what it was when everything was looked
at last.
"""

from __future__ import annotations

import gc
import os

#: A young collection after so many new objects; an older one after so many of the younger. What the oldest one has
#: to look at, about the product, takes some 30 ms.
_THRESHOLDS = (2_000, 5, 3)
#: Everything is looked at when memory is so many times as large, and by so much larger.
_GROWTH = 4
_GROWTH_BYTES = 1024**3

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Collector:
    """Steers the collector of this process from `install` to `remove`."""

    def __init__(self) -> None:
        self._limit_bytes = _limit_bytes()
        self._whole = False

    def install(self) -> None:
        """Begin, with all that exists now taken as lasting."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        gc.callbacks.append(self._notice)

    def remove(self) -> None:
        """Leave the collector as it is by default."""
        gc.callbacks.remove(self._notice)
        gc.unfreeze()
        gc.set_threshold(700, 10, 10)

    def _notice(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] < 2:
            return
        if phase == "start":
            self._whole = _resident_bytes() > self._limit_bytes
            if self._whole:
                gc.unfreeze()
        else:
            gc.freeze()
            if self._whole:
                self._limit_bytes = _limit_bytes()


def _limit_bytes() -> int:
    return _GROWTH * _resident_bytes() + _GROWTH_BYTES


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * _PAGE_BYTES
