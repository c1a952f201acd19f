"""`python -m koinon` is `koinon`."""

import sys

from koinon.cli import main

sys.exit(main())
