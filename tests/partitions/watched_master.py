"""A master as it is, but each time that it finds that it may act is written down, with the epoch in which it leads.

    python -m tests.partitions.watched_master JOURNAL NAME --zk=…

A master asks whether it may act before it takes anything in, and before anything leaves.
"""

import sys
from pathlib import Path

from koinon.coordination import Store
from koinon.master import server
from koinon.master.runtime import Runtime
from tests.partitions.journal import Journal, now_s

#: Often enough: acts come in hundreds.
_EVERY_S = 0.005


def main() -> int:
    """Run it; returns its exit status."""
    path, name, *flags = sys.argv[1:]
    journal, start, may_act = Journal(Path(path), name), Runtime.start, Runtime.may_act
    epoch, written_s = 0, 0.0

    def watched_start(self: Runtime, store: Store, in_epoch: int = 0, *, opened_in_s: float = 0.0) -> None:
        nonlocal epoch
        epoch = in_epoch
        start(self, store, in_epoch, opened_in_s=opened_in_s)

    def watched_may_act(self: Runtime) -> bool:
        nonlocal written_s
        asked_s = now_s()
        allowed = may_act(self)
        # Before it has read the registry it does not know which cluster it leads, and says nothing.
        if allowed and self.core.state.cluster and asked_s >= written_s + _EVERY_S:
            written_s = asked_s
            journal.write("acts", cluster=self.core.state.cluster, epoch=epoch, at=asked_s)
        return allowed

    Runtime.start, Runtime.may_act = watched_start, watched_may_act  # type: ignore[method-assign]
    return server.main(flags)


if __name__ == "__main__":
    sys.exit(main())
