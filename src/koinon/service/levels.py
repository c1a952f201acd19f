"""`/logging`: how much is logged, moved while a service runs, for a while if that is said."""

from __future__ import annotations

import asyncio
import logging

import msgspec
from aiohttp import web

from koinon import logs
from koinon.service.answers import error_answer, json_answer

#: The only logger whose level can be moved: that of all.
_ROOT = "ROOT"
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}


class _Level(msgspec.Struct):
    level: str
    logger: str = _ROOT
    durationSeconds: float | None = None


def level_routes(usual_level: str) -> list[web.RouteDef]:
    """Handlers for it; `usual_level` is gone back to."""
    usual = logging.getLevelNamesMapping()[usual_level]
    fall_back: list[asyncio.TimerHandle] = []

    async def levels(request: web.Request) -> web.StreamResponse:
        return json_answer({_ROOT: logs.level()})

    async def set_level(request: web.Request) -> web.StreamResponse:
        try:
            wanted = msgspec.json.decode(await request.read(), type=_Level)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return error_answer(400, f"The body must be {{logger, level, durationSeconds}}: {error}")
        level = _LEVELS.get(wanted.level.lower())
        if level is None or wanted.logger != _ROOT:
            problem = f"'{wanted.level}' is no level" if level is None else f"there is no '{wanted.logger}'"
            return error_answer(422, f"{problem}; the logger is {_ROOT}, levels are {', '.join(_LEVELS)}.")
        for timer in fall_back:
            timer.cancel()
        fall_back.clear()
        logs.set_level(level)
        if wanted.durationSeconds is not None:
            loop = asyncio.get_running_loop()
            fall_back.append(loop.call_later(wanted.durationSeconds, logs.set_level, usual))
        said = msgspec.structs.asdict(wanted)
        return json_answer({name: value for name, value in said.items() if value is not None})

    return [web.get("/logging", levels), web.post("/logging", set_level)]
