"""Logs are one line per event on standard error; a process of its own configures them, as a role does."""

import os
import pty
import subprocess
import sys

SCRIPT = """
import logging
from koinon import logs
logs.configure("WARNING")
log = logs.get(role="agent")
log.info("too quiet")
log.warning("lost the master", address="127.0.0.1:5050", tries=3)
logging.getLogger("aiohttp.server").warning("from a %s", "library")
logs.set_level("INFO")
log.info("now loud enough")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broke")
"""


def test_lines_are_key_value_pairs_when_not_on_a_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30, check=True
    )
    lines = [line.partition(" level=")[2] for line in done.stderr.splitlines()]
    assert lines[:3] == [
        'warning event="lost the master" role=agent address=127.0.0.1:5050 tries=3',
        'warning event="from a library"',
        'info event="now loud enough" role=agent',
    ]
    assert lines[3].startswith("error event=broke role=agent exception=")
    assert "ZeroDivisionError" in lines[3]
    assert (len(lines), done.stdout) == (4, "")


def test_lines_are_for_people_on_a_terminal() -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=follower) as process:
        os.close(follower)
        seen = b""
        try:
            while piece := os.read(leader, 4096):
                seen += piece
        except OSError:  # the other end is closed
            pass
        finally:
            os.close(leader)
        assert process.wait(30) == 0
    assert b"lost the master" in seen
    assert b"event=" not in seen
    assert b"too quiet" not in seen


def test_in_programs_of_others_lines_go_to_a_standard_logger() -> None:
    script = """
import logging, sys
from koinon import logs
log = logs.get(role="agent")
log.info("too quiet")
log.warning("lost the master", address="127.0.0.1:5050")
logging.basicConfig(format="%(name)s: %(message)s", level=logging.INFO)
log.info("now loud enough")
assert "structlog" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr.splitlines() == [
        "lost the master (role=agent, address=127.0.0.1:5050)",
        "koinon: now loud enough (role=agent)",
    ]
    assert done.stdout == ""
