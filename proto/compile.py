"""Compiles the `.proto` files to the descriptors that `koinon.mesos.codec` reads.

    python proto/compile.py

writes `src/koinon/mesos/v1/messages.desc`. Needs grpcio-tools.
"""

import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

SOURCES = Path(__file__).parent
TARGET = SOURCES.parent / "src/koinon/mesos/v1/messages.desc"


def compile_descriptors() -> bytes:
    """All messages and what they import, as a serialized FileDescriptorSet."""
    names = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.proto"))
    well_known = files("grpc_tools") / "_proto"
    with tempfile.NamedTemporaryFile(suffix=".desc") as target:
        arguments = [f"-I{SOURCES}", f"-I{well_known}", "--include_imports", f"-o{target.name}", *names]
        if status := protoc.main(["protoc", *arguments]):
            raise SystemExit(status)
        return Path(target.name).read_bytes()


if __name__ == "__main__":
    TARGET.write_bytes(compile_descriptors())
