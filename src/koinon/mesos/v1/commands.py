"""Commands, their environment and secrets."""

from __future__ import annotations

from msgspec import field

from koinon.mesos.v1.base import V1Enum, V1Message


class CommandInfo(V1Message, kw_only=True):
    class URI(V1Message, kw_only=True):
        value: str
        executable: bool | None = None
        extract: bool = field(default_factory=lambda: True)
        cache: bool | None = None
        output_file: str | None = None

    uris: list[CommandInfo.URI] = []
    environment: Environment | None = None
    shell: bool = field(default_factory=lambda: True)
    value: str | None = None
    arguments: list[str] = []
    user: str | None = None


class Environment(V1Message, kw_only=True):
    class Variable(V1Message, kw_only=True):
        class Type(V1Enum):
            UNKNOWN = "UNKNOWN"
            VALUE = "VALUE"
            SECRET = "SECRET"

        name: str
        type: Environment.Variable.Type = field(default_factory=lambda: Environment.Variable.Type.VALUE)
        value: str | None = None
        secret: Secret | None = None

    variables: list[Environment.Variable] = []


class Secret(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        REFERENCE = "REFERENCE"
        VALUE = "VALUE"

    class Reference(V1Message, kw_only=True):
        name: str
        key: str | None = None

    class Value(V1Message):
        data: bytes

    type: Secret.Type | None = None
    reference: Secret.Reference | None = None
    value: Secret.Value | None = None
