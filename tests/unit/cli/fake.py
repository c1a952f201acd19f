"""A small HTTP server that plays a master and an agent at once."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Fake:
    """Answers GET with what is in `answers` by path (a tuple of answers: one after the other, then the last);
    READ_FILE and `/files/browse` with what is in `files`.
    """

    def __init__(self) -> None:
        self.address = ""
        self.answers: dict[str, Any] = {"/health": None}
        self.redirect: str | None = None
        self.status = 200  #: what all is answered with, as an error
        self.files: dict[str, bytes] = {}
        self.calls: dict[str, Any] = {}  #: answers of other v1 calls, by their type

    def get(self, path: str, query: dict[str, list[str]]) -> Any:
        if path == "/files/browse":
            below = query["path"][0].rstrip("/") + "/"
            found = [
                {
                    "path": name,
                    "nlink": 1,
                    "size": len(data),
                    "mtime": 0.0,
                    "mode": "-rw-r--r--",
                    "uid": "me",
                    "gid": "us",
                }
                for name, data in self.files.items()
                if name.startswith(below)
            ]
            return found or KeyError(path)
        if path not in self.answers:
            return KeyError(path)
        answer = self.answers[path]
        if isinstance(answer, tuple):
            answer, *later = answer
            if later:
                self.answers[path] = tuple(later)
        return answer

    def call(self, call: dict[str, Any]) -> Any:
        if call["type"] != "READ_FILE":
            return self.calls[call["type"]]
        wanted = call["read_file"]
        if wanted["path"] not in self.files:
            return KeyError(wanted["path"])
        data = self.files[wanted["path"]]
        part = data[wanted["offset"] : wanted["offset"] + wanted["length"]]
        return {"type": "READ_FILE", "read_file": {"size": len(data), "data": b64encode(part).decode()}}


@contextmanager
def serving(fake: Fake) -> Iterator[Fake]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each body waits until its head is acknowledged

        def do_GET(self) -> None:
            if fake.redirect:
                self._send(307, b"", {"Location": fake.redirect})
                return
            if fake.status != 200:
                self._send(fake.status, b"No master leads at the moment: try again.", {})
                return
            parts = urlsplit(self.path)
            self._answer(fake.get(parts.path, parse_qs(parts.query)))

        def do_POST(self) -> None:
            call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(fake.call(call))

        def _answer(self, answer: Any) -> None:
            if isinstance(answer, KeyError):
                self._send(404, b"404 Not Found.", {})
            else:
                self._send(200, b"" if answer is None else json.dumps(answer).encode(), {})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.address = f"127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
