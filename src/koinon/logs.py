"""Logs: one line per event on standard error, for people on a terminal, as key=value elsewhere.

    log = koinon.logs.get(role="agent")
    log.info("registered with master", master="127.0.0.1:5050", agent_id=…)

A role calls `configure` once, first thing. The level may be moved later (`set_level`), as `/logging/toggle`
does. Without it, as in programs of others that use the SDK, lines go to the standard logger `koinon`, which is theirs
to configure; structlog is not even imported.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger

Level = Literal["INFO", "WARNING", "ERROR"]

_level: int = logging.INFO
_configured = False


def configure(level: Level = "INFO") -> None:
    """Send all logs, those of libraries included, to standard error from `level` on."""
    _import_structlog()
    import structlog

    global _configured
    _configured = True
    set_level(level)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    on_terminal = sys.stderr.isatty()
    render: structlog.typing.Processor
    if on_terminal:
        render = structlog.dev.ConsoleRenderer(
            pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
        shared[-1] = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    else:
        render = structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event"], bool_as_flag=False
        )
    tail: list[structlog.typing.Processor] = [structlog.processors.StackInfoRenderer()]
    if not on_terminal:  # the terminal's renderer shows tracebacks itself
        tail.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[_drop_below_level, *shared, *tail, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard module; the same processors draw their lines.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail, render],
        )
    )
    handler.addFilter(lambda record: record.levelno >= _level)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def _import_structlog() -> None:
    """Without `rich`, with which it would draw tracebacks: 5 MB in every role, and a fifth of what its start takes."""
    if "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # as if it were not installed
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]


def get(**context: object) -> FilteringBoundLogger:
    """A logger whose lines carry `context`."""
    if not _configured:
        return cast("FilteringBoundLogger", _Guest(context))
    import structlog

    log: FilteringBoundLogger = structlog.get_logger(**context)
    return log


def set_level(level: Level | int) -> None:
    """Drop what is below `level`, from now on, in every logger."""
    global _level
    _level = logging.getLevelNamesMapping()[level] if isinstance(level, str) else level


def level() -> str:
    """The level now, by name."""
    return logging.getLevelName(_level)


def _drop_below_level(_: object, method: str, event: EventDict) -> EventDict:
    import structlog

    if logging.getLevelNamesMapping()[method.upper() if method != "exception" else "ERROR"] < _level:
        raise structlog.DropEvent
    return event


class _Guest:
    """A logger of a program that is not ours."""

    def __init__(self, context: dict[str, object]) -> None:
        self._context = context
        self._to = logging.getLogger("koinon")

    def info(self, event: str, **more: object) -> None:
        self._to.info("%s%s", event, self._pairs(more))

    def warning(self, event: str, **more: object) -> None:
        self._to.warning("%s%s", event, self._pairs(more))

    def error(self, event: str, **more: object) -> None:
        self._to.error("%s%s", event, self._pairs(more))

    def exception(self, event: str, **more: Any) -> None:
        self._to.exception("%s%s", event, self._pairs(more))

    def _pairs(self, more: dict[str, object]) -> str:
        pairs = ", ".join(f"{name}={value}" for name, value in {**self._context, **more}.items())
        return f" ({pairs})" if pairs else ""
