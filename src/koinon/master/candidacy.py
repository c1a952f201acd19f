"""How a master comes to lead, by its flags: the election that it stands in, and the registry that it opens once elected.

--zk            ZooKeeper's, with the registry there
--work_dir      on this machine: who holds the lock of the directory leads, with the registry in it
neither         nobody else could lead: the registry is gone with the process (--registry=in_memory)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from koinon.coordination import Election, Store
from koinon.coordination.embedded import EmbeddedStore
from koinon.coordination.zookeeper import Url
from koinon.master.flags import MasterFlags

#: What the directory's lock is called, and who holds it. Masters that stood for no election hold it, too.
LOCK = "master"
OWNER = "a master"


class Candidacy(Struct, frozen=True):
    """An election, and what comes with winning it."""

    election: Election
    #: Fences off the leader before us, of the epoch that it is given. Raises StoreError.
    open_registry: Callable[[int], Awaitable[Store]]
    #: It is decided at once, and no leader can be cut off: nobody needs its epoch, so agents are told of none. A
    #: directory may be put back from a copy, or used by an older version; its epochs would count from the beginning.
    local: bool


def candidacy(flags: MasterFlags) -> Candidacy | None:
    """As the flags say; None: lead, without election."""
    if flags.zk is not None:
        return _in_zookeeper(flags.zk, flags.zk_session_timeout)
    if flags.work_dir is not None:
        return _on_this_machine(flags.work_dir)
    return None


def _in_zookeeper(url: Url, timeout_s: float) -> Candidacy:
    # Only who asks for ZooKeeper pays for the import.
    from koinon.coordination.zookeeper.election import Election
    from koinon.coordination.zookeeper.store import open_store

    election = Election(url, timeout_s=timeout_s)

    async def open_registry(epoch: int) -> Store:
        return await open_store(election.session, url.store_path, epoch=epoch)

    return Candidacy(election, open_registry, local=False)


def _on_this_machine(directory: Path) -> Candidacy:
    from koinon.coordination.embedded_election import Election

    async def open_registry(epoch: int) -> Store:
        return EmbeddedStore(directory / "registry.sqlite")

    return Candidacy(Election(directory, owner=OWNER, name=LOCK), open_registry, local=True)
