"""What tasks have written, as their agents show it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import aiohttp

from koinon import logs
from koinon.chronos.core import State
from koinon.chronos.history import Output
from koinon.chronos.model import Run
from koinon.chronos.placing import executor_id
from koinon.mesos import v1

#: The most that agents give at once.
_READ_BYTES = 16 * 4096
#: So many requests are under way at a time.
_CONNECTIONS = 8
_TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=5.0)
#: Pauses before an agent that does not answer is asked again; it may be starting anew.
_PAUSES_S = (1.0, 5.0, 15.0)


class Sandboxes:
    """Reads from the agents that offers have come from, else asks the master where they are."""

    def __init__(
        self, state: Callable[[], State], *, tail_bytes: int, pauses_s: tuple[float, ...] = _PAUSES_S
    ) -> None:
        self._state = state
        self._tail_bytes = tail_bytes
        self._pauses_s = pauses_s
        self._addresses: dict[str, str] = {}
        self._places = asyncio.Semaphore(_CONNECTIONS)
        self._session: aiohttp.ClientSession | None = None
        self._log = logs.get()

    def note(self, offers: Iterable[v1.Offer]) -> None:
        """Where agents are, as they come by."""
        for offer in offers:
            if (url := offer.url) is not None:
                host = url.address.ip or url.address.hostname or offer.hostname
                shown = f"[{host}]" if ":" in host else host
                self._addresses[offer.agent_id.value] = f"{url.scheme}://{shown}:{url.address.port}"

    async def output(self, run: Run, *, patient: bool = True) -> Output | None:
        """The ends of the run's stdout and stderr; None if there are none to be had.

        Runs of an executor of the job's own share its files: then it is the ends of what that has written so far. If the agent does not answer, it is asked again for half a minute when we are `patient`.
        """
        if not run.agent_id or run.mesos_state == "":
            return None
        for pause_s in (*(self._pauses_s if patient else ()), None):
            try:
                async with self._places:
                    return await self._output(run)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                self._addresses.pop(run.agent_id, None)  # it may have moved
                if pause_s is None:
                    self._log.warning(
                        "the output of a run is lost", run=run.id, agent_id=run.agent_id, error=str(error)
                    )
                    return None
                await asyncio.sleep(pause_s)
        return None

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()

    async def _output(self, run: Run) -> Output | None:
        base = self._addresses.get(run.agent_id) or await self._look_up(run.agent_id)
        if base is None:
            raise ValueError("the master does not know the agent")
        state = self._state()
        job = state.jobs.get(run.job)
        executor = run.id if job is None else executor_id(job, run)
        folder = f"/frameworks/{state.framework_id}/executors/{executor}/runs/{run.container_id or 'latest'}"
        stdout = await self._end(base, f"{folder}/stdout")
        stderr = await self._end(base, f"{folder}/stderr")
        if stdout is None and stderr is None:
            return None
        out, out_size = stdout or (b"", 0)
        err, err_size = stderr or (b"", 0)
        return Output(out, err, out_size, err_size)

    async def _end(self, base: str, path: str) -> tuple[bytes, int] | None:
        """The end of a file, and how long it is; None if there is none."""
        begin = await self._read(base, path, 0)
        if begin is None or len(begin) + 4 < _READ_BYTES:  # a character that is cut off is left out
            return None if begin is None else (begin, len(begin))
        asked = await self._get(f"{base}/files/read", {"path": path, "offset": "-1"})
        size = int(asked["offset"]) if asked is not None else len(begin)
        data, at = b"", max(0, size - self._tail_bytes)
        while at < size and (part := await self._read(base, path, at)):
            data += part
            at += len(part)
        return data, size

    async def _read(self, base: str, path: str, offset: int) -> bytes | None:
        query = {"path": path, "offset": str(offset), "length": str(_READ_BYTES)}
        answer = await self._get(f"{base}/files/read", query)
        return None if answer is None else str(answer["data"]).encode()

    async def _look_up(self, agent_id: str) -> str | None:
        if (master := self._state().master) is None:
            raise ValueError("there is no master to ask where the agent is")
        answer = await self._get(f"http://{master}/slaves", {"slave_id": agent_id})
        for agent in (answer or {}).get("slaves", ()):
            if agent["id"] == agent_id:
                self._addresses[agent_id] = f"http://{agent['pid'].partition('@')[2]}"
        return self._addresses.get(agent_id)

    async def _get(self, url: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        """The answer's JSON; None for what is not there, or not to be shown."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        async with self._session.get(url, params=query) as answer:
            if answer.status in (400, 403, 404):
                return None
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json(content_type=None)
            return found
