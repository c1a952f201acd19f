"""`/v2/queue`: what waits to be launched, and why."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from koinon.marathon.api.requests import path_of
from koinon.marathon.api.shown import Shown, encode
from koinon.marathon.core import events
from koinon.marathon.model import App, versions
from koinon.marathon.model.root import RunSpec
from koinon.marathon.rendering.queue import render_offers_summary, render_unused
from koinon.marathon.runtime import Runtime
from koinon.service.lists import send_list

#: Of so many agents the offer is shown that was no use.
_UNUSED_MAX = 10


class Queue:
    """The handlers."""

    def __init__(self, runtime: Runtime, shown: Shown) -> None:
        self._runtime = runtime
        self._shown = shown

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        return [
            web.get("/v2/queue", self.list_all),
            web.delete("/v2/queue/{id:.+}/delay", self.reset_delay),
        ]

    async def list_all(self, request: web.Request) -> web.StreamResponse:
        """An entry for each app or pod of which instances wait."""
        with_offers = "lastUnusedOffers" in request.query.getall("embed", [])
        state = self._runtime.core.state
        specs = [spec for path in state.scheduled if (spec := state.root.run_spec(path)) is not None]
        entries = (self._entry(spec, with_offers) for spec in specs)
        return await send_list(request, entries, b'{"queue":[', b"]}")

    async def reset_delay(self, request: web.Request) -> web.StreamResponse:
        """Launch it at once."""
        self._runtime.feed(events.ResetDelay(path_of(request)))
        await self._runtime.settled()
        return web.Response(status=204)

    def _entry(self, spec: RunSpec, with_offers: bool) -> bytes:
        state, now = self._runtime.core.state, self._runtime.now()
        count = len(state.scheduled.get(spec.id, ()))
        found = next(iter(state.launches.waiting_of(spec.id)), None)
        delay = state.delays.get(spec.id)
        left_s = max(0.0, delay.until - now) if delay is not None else 0.0
        made: dict[str, Any] = {
            "count": count,
            "since": versions.stamp(found.since) if found is not None else spec.version,
            "delay": {"timeLeftSeconds": round(left_s), "overdue": left_s <= 0},
            "processedOffersSummary": render_offers_summary(found),
        }
        if spec.role != "*":  # a widely used client does not know it
            made["role"] = spec.role
        if with_offers and found is not None:
            latest = list(found.last_unused.values())[-_UNUSED_MAX:]
            made["lastUnusedOffers"] = [render_unused(one) for one in latest]
        if isinstance(spec, App):
            return b'{"app":%b,%b' % (self._shown.definition(spec), encode(made)[1:])
        return b'{"pod":%b,%b' % (self._shown.pod(spec), encode(made)[1:])
