"""Start a launcher: `__main__.py DIRECTORY`. Its first process ends when it serves, or says why it cannot."""

from __future__ import annotations

import sys


def main() -> None:
    """Find the package without the path of site packages, which the launcher does not need, and serve."""
    sys.path.append(__file__.rsplit("/", 4)[0])
    from koinon.agent.launcher.start import serve

    serve(sys.argv[1])


if __name__ == "__main__":
    main()
