"""The HTTP edge that master and agent share.

    server = Server("master")
    server.route("/state", state)                      # GET
    server.route("/api/v1", operator, methods=("POST",))
    await server.start("127.0.0.1", 5050)

A *handler* takes aiohttp's request and returns an `Answer`; it refuses by raising `HttpError`, whose text the
client reads as one line. A *hot* path has a second, shorter way (`Server.hot`). Paths match by their longest known
prefix, with the name of the process in front or not, with a trailing slash or not, and with `.json` at the end or
not. `EventStream` carries v1 messages to one subscriber; `Files` shows chosen files and directories; `Metrics`
counts.
"""

from koinon.edge.answers import Answer, HttpError, answer_json, answer_message
from koinon.edge.files import Files, FilesError
from koinon.edge.metrics import Counter, Family, Measured, Metrics, Timer
from koinon.edge.negotiation import accepts_gzip, content_type_of, preferred_type, read_call
from koinon.edge.server import Handler, Server
from koinon.edge.streams import EventStream
from koinon.edge.system import LogLevel, serve_common

__all__ = [
    "Answer",
    "Counter",
    "EventStream",
    "Family",
    "Files",
    "FilesError",
    "Handler",
    "HttpError",
    "LogLevel",
    "Measured",
    "Metrics",
    "Server",
    "Timer",
    "accepts_gzip",
    "answer_json",
    "answer_message",
    "content_type_of",
    "preferred_type",
    "read_call",
    "serve_common",
]
