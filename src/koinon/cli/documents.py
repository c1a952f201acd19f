"""Files with definitions: JSON or YAML."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from koinon.cli.errors import Failure

_TIMESTAMP = "tag:yaml.org,2002:timestamp"


def documents(name: str) -> Iterator[Any]:
    """What a file holds: one value of JSON, or the documents of YAML; `-` is standard input. Raises Failure."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{name} cannot be read: {error}") from None
    try:
        yield json.loads(text)
        return
    except ValueError as error:
        if name.endswith(".json") or text.lstrip()[:1] in ("{", "["):
            raise Failure(f"{name} is no JSON: {error}") from None
    import yaml

    class Loader(yaml.SafeLoader):
        """What looks like a date stays the text that it is: JSON has no dates."""

        yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in found if tag != _TIMESTAMP]
            for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    try:
        yield from (one for one in yaml.load_all(text, Loader=Loader) if one is not None)
    except yaml.YAMLError as error:
        raise Failure(f"{name} is neither JSON nor YAML: {error}") from None
