"""Makes and removes environments of hosted methods, whole or not at all."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.hosting.child import started
from benchmark.hosting.environment import (
    REQUIREMENTS,
    WITHOUT_DEPENDENCIES,
    Environment,
    method_of,
    pointers,
    read_pointer,
)
from benchmark.machine.paths import cache_folder, locked, replacing
from benchmark.machine.progress import Stage, stage

INSTALLED = ("Collecting ", " + ")
"""Begin the lines of pip and of uv that tell of one more package."""

_log = logging.getLogger("benchmark")


@dataclass(frozen=True)
class Installed:
    """Packages on the disk.

    Attributes
    ----------
    folder
        Where they are.
    methods
        Names of the methods that use them.
    size
        Bytes, those of the methods' own environments included.
    """

    folder: Path
    methods: list[str]
    size: int


def install(environment: Environment, force: bool = False, python: str | None = None) -> bool:
    """Make an environment, unless it is there.

    Parameters
    ----------
    environment
        Which one.
    force
        Make it anew, with the packages that it shares; the old ones serve until the new ones are complete.
    python
        The interpreter to make it with, where its packages are not there yet; the present one unless said.

    Returns
    -------
    bool
        Whether it was made now.

    Raises
    ------
    BenchmarkError
        When a package cannot be had or installed; nothing is left then.
    """
    with _alone():
        if environment.python is not None and not force:
            return False
        try:
            _make(environment, force, python or sys.executable)
        finally:
            _remove_unused()
    return True


def uninstall(name: str) -> int:
    """Remove what was installed for a method, also with earlier requirements; return the bytes that are free.

    Packages that another method uses stay.
    """
    with _alone():
        before = _size(cache_folder("environments"))
        for pointer in pointers():
            if method_of(pointer) == name:
                pointer.unlink()
        _remove_unused()
        return before - _size(cache_folder("environments"))


def installed() -> list[Installed]:
    """All packages that are installed, with who uses them."""
    found: dict[str, list[Path]] = {}
    for pointer in pointers():
        said = read_pointer(pointer)
        found.setdefault(said.get("packages", said.get("folder", "")), []).append(pointer)
    place = cache_folder("environments")
    return [
        Installed(
            place / name,
            [method_of(pointer) for pointer in named],
            sum(map(_size, {place / name, *(place / read_pointer(pointer)["folder"] for pointer in named)})),
        )
        for name, named in sorted(found.items())
    ]


def _make(environment: Environment, force: bool, python: str) -> None:
    """Install the shared packages where they are not there, and the method's own environment on top."""
    if shutil.which(python) is None:
        raise BenchmarkError(f"There is no Python '{python}' to make environments with; check --python.")
    shared, place = environment.packages, environment.pointer.parent
    total = 1 + sum(_count(path) for path in environment.requirements)
    with stage(f"install {environment.name}", total) as progress:
        bar = _Bar(progress, total - 1)
        packages = shared
        if force or not shared.exists():
            packages = _fresh(shared)
            _run(environment, [python, "-m", "venv", packages], bar)
            _fill(environment, packages, packages, environment.folder / REQUIREMENTS, bar)
        own = _fresh(place / environment.key)
        _run(environment, [packages / "bin" / "python", "-m", "venv", "--without-pip", own], bar)
        _put_on_top(own, shared)
        if (environment.folder / WITHOUT_DEPENDENCIES).is_file():
            _fill(environment, packages, own, environment.folder / WITHOUT_DEPENDENCIES, bar)
        if packages is not shared:
            with replacing(shared) as draft:
                draft.symlink_to(packages.name)
        with replacing(environment.pointer) as draft:
            said = {"folder": own.name, "packages": shared.name}
            draft.write_text(json.dumps(said) + "\n", encoding="utf-8")
        bar.fill()


def _put_on_top(own: Path, shared: Path) -> None:
    """Have an environment see the packages of another one beside it, wherever both are moved to."""
    (packages,) = own.glob("lib/python*/site-packages")
    seen = Path(os.pardir) / shared.name / packages.relative_to(own)
    (packages / "shared.pth").write_text(
        f"import os, site, sys; site.addsitedir(os.path.join(sys.prefix, {str(seen)!r}))\n", encoding="utf-8"
    )


def _fill(environment: Environment, with_pip: Path, folder: Path, requirements: Path, bar: _Bar) -> None:
    """Install requirements into `folder`: with uv where it is at hand and can, else with pip."""
    alone = ["--no-deps"] if requirements.name == WITHOUT_DEPENDENCIES else []
    into: list[str | Path] = ["--python", folder / "bin" / "python"]
    pip: list[str | Path] = [
        with_pip / "bin" / "python",
        "-m",
        "pip",
        "--no-input",
        "--disable-pip-version-check",
    ]
    uv = shutil.which("uv")
    if uv is not None:
        try:
            return _run(environment, [uv, "pip", "install", *into, *alone, "-r", requirements], bar)
        except BenchmarkError as error:
            _log.warning("uv cannot install what %s needs, so pip does: %s", environment.name, error)
    # What is imported is compiled then; most never is.
    options = ["install", "--no-compile", "--retries", "2", *alone]
    return _run(environment, [*pip, *into, *options, "-r", requirements], bar)


class _Bar:
    """Progress by packages, each of which is told of once."""

    def __init__(self, progress: Stage, packages: int) -> None:
        self._progress, self._left = progress, packages

    def see(self, line: str) -> None:
        """Advance where a line tells of a package."""
        if line.startswith(INSTALLED) and self._left:
            self._left -= 1
            self._progress.advance()

    def fill(self) -> None:
        """Advance to the end."""
        self._progress.advance(self._left + 1)


def _run(environment: Environment, command: Sequence[str | Path], bar: _Bar) -> None:
    """Run one command; raise when it fails."""
    with started(command) as child:
        for line, _ in child.lines():
            bar.see(line)
        code = child.ended()
    if code != 0:
        what = next(each for each in ("pip", "venv") if each in command)
        raise BenchmarkError(
            f"The environment of '{environment.name}' could not be installed ({what} ended with {code}), and "
            "nothing of it was kept; see its last lines, then repeat "
            f"`{environment.command}`:\n" + "\n".join(f"  {line}" for line in child.last)
        )


def _alone() -> AbstractContextManager[None]:
    """One process at a time changes what is installed."""
    return locked(cache_folder("environments") / "environments.lock")


def _fresh(place: Path) -> Path:
    return place.with_name(f"{place.name}-{uuid.uuid4().hex[:8]}")


def _size(folder: Path) -> int:
    """Bytes of the files below a folder; what links lead to is not counted."""
    files = (Path(parent, name) for parent, _, names in os.walk(os.path.realpath(folder)) for name in names)
    return sum(file.lstat().st_size for file in files)


def _count(requirements: Path) -> int:
    """How many packages a file of requirements names."""
    lines = map(str.strip, requirements.read_text(encoding="utf-8").splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def _remove_unused() -> None:
    """Delete what no pointer names: interrupted, failed, replaced, uninstalled; called under the lock."""
    place = cache_folder("environments")
    said = [read_pointer(pointer) for pointer in pointers()]
    kept = {name for each in said for name in (each["folder"], each.get("packages", ""))}
    for link in place.glob("packages-*"):
        if link.is_symlink() and link.name not in kept:
            link.unlink()
    kept |= {link.readlink().name for link in place.iterdir() if link.is_symlink()}
    for folder in place.iterdir():
        if folder.is_dir() and folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)
