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
        with tarfile.open(archive) as source:
            source.extractall(scratch, filter="data")
        (package,) = Path(scratch).glob("*/http_parser")
        target = Path(sysconfig.get_path("purelib"), "http_parser")
        target.mkdir(exist_ok=True)
        for module in package.glob("*.py"):
            (target / module.name).write_bytes(module.read_bytes())
        # Compiled here, as pip would: its outdated escapes are warnings, which are errors in the tests.
        compileall.compile_dir(target, quiet=2)


def pip(*arguments: str) -> None:
    """Run pip of this interpreter."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


if __name__ == "__main__":
    main()
