"""The Python environment of a hosted method: made from its pinned requirements, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from benchmark.errors import BenchmarkError
from benchmark.hosting.child import started
from benchmark.machine.paths import cache_folder, replacing
from benchmark.machine.progress import stage

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
        content = b"\0".join(path.read_bytes() for path in self.requirements)
        return f"{self.name}-{hashlib.sha256(content).hexdigest()[:12]}"

    @property
    def python(self) -> Path | None:
        """The environment's interpreter, or None where the environment is not installed."""
        try:
            place = json.loads(self.pointer.read_text(encoding="utf-8"))["folder"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        python = self.pointer.parent / place / "bin" / "python"
        return python if python.exists() else None

    @property
    def command(self) -> str:
        """What installs it."""
        return f"python -m benchmark install {shlex.quote(self.spelled or self.name)}"

    @property
    def pointer(self) -> Path:
        """Names the folder of the finished environment; written last, and at once."""
        return cache_folder("environments") / f"{self.key}.json"


def install(environment: Environment, force: bool = False, python: str | None = None) -> bool:
    """Make an environment, unless it is there.

    Parameters
    ----------
    environment
        Which one.
    force
        Make it anew; the old one serves until the new one is complete.
    python
        The interpreter to make it with; the present one unless said.

    Returns
    -------
    bool
        Whether it was made now.

    Raises
    ------
    BenchmarkError
        When a package cannot be had or installed; nothing is left then.
    """
    pointer = environment.pointer
    pointer.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{pointer}.lock"):
        if environment.python is not None and not force:
            return False
        folder = pointer.parent / f"{environment.key}-{uuid.uuid4().hex[:8]}"
        try:
            _fill(environment, folder, python or sys.executable)
            with replacing(pointer) as draft:
                draft.write_text(json.dumps({"folder": folder.name}) + "\n", encoding="utf-8")
        finally:
            _remove_unfinished(environment)
    return True


def _fill(environment: Environment, folder: Path, python: str) -> None:
    """Make a virtual environment and install the requirements into it."""
    if shutil.which(python) is None:
        raise BenchmarkError(f"There is no Python '{python}' to make environments with; check --python.")
    pip: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "--no-input",
        "--disable-pip-version-check",
        "install",
        "--no-compile",  # what is imported is compiled then; most never is
    ]
    steps: list[Sequence[str | Path]] = [[python, "-m", "venv", folder]]
    for path in environment.requirements:
        alone = ["--no-deps"] if path.name == WITHOUT_DEPENDENCIES else []
        steps.append([*pip, "--retries", "2", *alone, "-r", path])
    total = 1 + sum(_count(path) for path in environment.requirements)
    with stage(f"install {environment.name}", total) as progress:
        collected = 0
        for command in steps:
            for line in _output(environment, command):
                if line.startswith("Collecting ") and collected < total - 1:
                    collected += 1
                    progress.advance()
        progress.advance(total - collected)


def _output(environment: Environment, command: Sequence[str | Path]) -> Iterator[str]:
    """Run one command and give its lines; raise when it fails."""
    with started(command) as child:
        for line, _ in child.lines():
            yield line
        code = child.ended()
    if code != 0:
        what = "pip" if "pip" in command else "venv"
        raise BenchmarkError(
            f"The environment of '{environment.name}' could not be installed ({what} ended with {code}), and "
            "nothing of it was kept; see its last lines, then repeat "
            f"`{environment.command}`:\n" + "\n".join(f"  {line}" for line in child.last)
        )


def _count(requirements: Path) -> int:
    """How many packages a file of requirements names."""
    lines = map(str.strip, requirements.read_text(encoding="utf-8").splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def _remove_unfinished(environment: Environment) -> None:
    """Delete what interrupted, failed or replaced installations have left; called under the lock."""
    kept = environment.python
    for folder in environment.pointer.parent.glob(f"{environment.key}-*"):
        if kept is None or folder not in kept.parents:
            shutil.rmtree(folder, ignore_errors=True)
