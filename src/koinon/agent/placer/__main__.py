"""Start a placer: `__main__.py SOCKET_FD JSON`."""

from __future__ import annotations

import contextlib
import sys


def main() -> None:
    """Find the package without the path of site packages, and serve."""
    sys.path.append(__file__.rsplit("/", 4)[0])
    from koinon.agent.placer.serve import serve

    with contextlib.suppress(ConnectionError):  # the agent died, and nobody wants an answer
        serve(int(sys.argv[1]), sys.argv[2])


if __name__ == "__main__":
    main()
