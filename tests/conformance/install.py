"""Installs the third-party clients that the conformance tests drive.

`pymesos` needs `http-parser`, whose C half does not compile on Python 3.11 and newer. Its pure half, which
`pymesos` supports, is all that is needed: it is taken from the source distribution as it stands.
"""

import compileall
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def main() -> None:
    """Install everything of requirements.txt into this interpreter's environment."""
    wanted = [line for line in REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]
    parser = next(line for line in wanted if line.startswith("http-parser"))
    pip("install", "--no-deps", *(line for line in wanted if line != parser))
    with tempfile.TemporaryDirectory() as scratch:
        pip("download", "--no-deps", "--no-binary", ":all:", "--dest", scratch, parser)
        (archive,) = Path(scratch).glob("*.tar.gz")
        target = Path(sysconfig.get_path("purelib"), "http_parser")
        target.mkdir(exist_ok=True)
        with tarfile.open(archive) as source:
            for member in source.getmembers():
                path = Path(member.name)
                if path.match("*/http_parser/*.py") and (module := source.extractfile(member)) is not None:
                    (target / path.name).write_bytes(module.read())
        # Compiled here, as pip would: its outdated escapes are warnings, which are errors in the tests.
        compileall.compile_dir(target, quiet=2)


def pip(*arguments: str) -> None:
    """Run pip of this interpreter."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


if __name__ == "__main__":
    main()
