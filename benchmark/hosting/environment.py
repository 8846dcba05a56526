"""Where the Python environment of a hosted method is, and whether it is there.

What takes room are the packages of ``requirements.txt``. They are installed once for all methods whose files
say the same, in a folder that is named by the file's digest; a method's own environment is a small one on
top, with the packages of ``requirements-no-deps.txt``.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from benchmark.machine.paths import cache_folder

REQUIREMENTS = "requirements.txt"
WITHOUT_DEPENDENCIES = "requirements-no-deps.txt"


@dataclass(frozen=True)
class Environment:
    """Where the environment of one method is, and whether it is there.

    Attributes
    ----------
    name
        The method's.
    folder
        The method's folder, with ``requirements.txt`` and, for packages that declare dependencies which
        do not fit, ``requirements-no-deps.txt``, installed after it.
    spelled
        How the method is asked for on the command line, where that is not its name.
    """

    name: str
    folder: Path
    spelled: str = ""

    @property
    def requirements(self) -> list[Path]:
        """The files that say what is installed, in this order."""
        files = (self.folder / REQUIREMENTS, self.folder / WITHOUT_DEPENDENCIES)
        return [path for path in files if path.is_file()]

    @property
    def key(self) -> str:
        """Name and digest of the requirements: with other requirements, another environment."""
        return f"{self.name}-{_digest(*self.requirements)}"

    @property
    def packages(self) -> Path:
        """A link to the folder of the packages that methods with the same ``requirements.txt`` share."""
        return cache_folder("environments") / f"packages-{_digest(self.folder / REQUIREMENTS)}"

    @property
    def python(self) -> Path | None:
        """The environment's interpreter, or None where the environment is not installed."""
        said = read_pointer(self.pointer)
        python = self.pointer.parent / said.get("folder", "") / "bin" / "python"
        complete = python.exists() and (self.pointer.parent / said.get("packages", "")).exists()
        return python if complete else None

    @property
    def command(self) -> str:
        """What installs it."""
        return f"python -m benchmark install {shlex.quote(self.spelled or self.name)}"

    @property
    def pointer(self) -> Path:
        """Names the folder of the finished environment; written last, and at once."""
        return cache_folder("environments") / f"{self.key}.json"


def pointers() -> list[Path]:
    """The files that name finished environments."""
    return sorted(cache_folder("environments").glob("*.json"))


def method_of(pointer: Path) -> str:
    """Which method a pointer is of."""
    return pointer.stem.rpartition("-")[0]


def read_pointer(pointer: Path) -> dict[str, str]:
    """What a pointer says; nothing where there is none."""
    try:
        said = json.loads(pointer.read_text(encoding="utf-8"))
        return {"folder": said["folder"], **said}
    except (OSError, ValueError, KeyError, TypeError):
        return {"folder": "nowhere"}


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]
