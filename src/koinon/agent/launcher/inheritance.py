"""What a launcher that died has left to the one after it: containers that are not its children, to be ended."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterable
from collections.abc import Container as Holding

from koinon.agent.launcher.journal import ENDING, EXITED, Container
from koinon.agent.launcher.processes import environment_words, everybody, kill, session_of, start_ticks

#: A container id so long does not stand by chance in the environment of a stranger.
_UNIQUE_ID_LENGTH = 32


class Inheritance:
    """The containers of before, until it is sure that nothing of them is left: no exit of theirs is told sooner.

    What it needs of the launcher: to `watch` and `unwatch` a descriptor, to `destroy` a container, and to be told that
    its main process `ended`.
    """

    def __init__(
        self,
        containers: Iterable[Container],
        *,
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
        destroy: Callable[[Container], str],
        ended: Callable[[Container, int | None, str], None],
    ) -> None:
        self.containers = list(containers)
        #: Those that still run, by the pidfd of the main process.
        self.orphans: dict[int, Container] = {}
        self._watch = watch
        self._unwatch = unwatch
        self._destroy = destroy
        self._ended = ended

    def take_over(self, ending: dict[str, Container]) -> None:
        """Destroy what runs. It is not our child: a pidfd tells when it ended. What had ended is `ending` once more."""
        for container in self.containers:
            if container.state == EXITED:
                container.state = ENDING  # until it is sure that nothing of it is left
                ending[container.id] = container
                continue
            try:
                pidfd = os.pidfd_open(container.pid)
            except ProcessLookupError:
                pidfd = -1
            # With the pidfd open the pid cannot pass to another process, so the comparison holds.
            problem = "the launcher died, and the container ended unseen"
            if pidfd >= 0 and start_ticks(container.pid) == container.start:
                problem = self._destroy(container)
            if not problem:
                self.orphans[pidfd] = container
                self._watch(pidfd, functools.partial(self._orphan_ended, pidfd))
                continue
            if pidfd >= 0:
                os.close(pidfd)
            self._ended(container, None, problem)

    def _orphan_ended(self, pidfd: int) -> None:
        """The main process of an orphan is gone."""
        self._unwatch(pidfd)
        container = self.orphans.pop(pidfd)
        self._ended(container, None, "the launcher died, and the container was ended")

    def end_leftovers(self, ours: Holding[int]) -> None:
        """Kill what escaped while there was no launcher: strays of main processes that ended meanwhile; none of `ours`.

        They are init's children now. They are known by their session, which has the pid of a main process,
        or by the id of the container in their environment, where the path of a sandbox has it.
        """
        if not self.containers or self.orphans:
            return
        # A pid does not pass to another process as long as a session bears its number.
        sessions = {
            each.pid for each in self.containers if each.start and start_ticks(each.pid) in (0, each.start)
        }
        ids = {each.id.encode() for each in self.containers if len(each.id) >= _UNIQUE_ID_LENGTH}
        leftovers = [
            pid
            for pid in everybody()
            if pid not in ours and (session_of(pid) in sessions or not ids.isdisjoint(environment_words(pid)))
        ]
        killed = [kill(pid, signal.SIGKILL) for pid in leftovers]
        if not any(killed):
            self.containers.clear()
