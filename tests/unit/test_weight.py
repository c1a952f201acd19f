"""A cluster at rest fits into little memory, as no role loads what it may never use."""

import subprocess
import sys

SCRIPT = """
import sys
import koinon.agent.server, koinon.chronos.server, koinon.marathon.server, koinon.master.server
from koinon import logs
logs.configure()
import aiohttp, sqlalchemy  # are used in any case
unused = {"google.protobuf", "kazoo", "matplotlib", "re2", "rich", "sqlalchemy.dialects.postgresql"}
print(sorted(unused & set(sys.modules)))
import rich.console  # what has been kept from structlog is there for others
"""


def test_roles_load_nothing_that_only_some_clusters_use() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
