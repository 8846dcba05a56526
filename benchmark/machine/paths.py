"""Where things lie: what is shipped (cards, splits, published rows), what the user makes, what is cached."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.errors import BenchmarkError

_PACKAGE = Path(__file__).parents[1]
_log = logging.getLogger("benchmark")


def checkout() -> Path | None:
    """Return the repository that the package runs from, or None where it is installed."""
    root = _PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "datasets").is_dir() else None


def project_home() -> Path:
    """Return the folder of what the user makes: ``$BENCHMARK_HOME``, the checkout or the current folder."""
    chosen = os.environ.get("BENCHMARK_HOME")
    return Path(chosen).expanduser() if chosen else checkout() or Path.cwd()


def packaged_data() -> Path:
    """Return the folder with the shipped ``datasets``, ``splits`` and ``leaderboard``."""
    return checkout() or _PACKAGE / "_data"


def data_folders(kind: str) -> list[Path]:
    """Return the folders that are searched for `kind` ("datasets", "splits"): the shipped one, the user's."""
    return list(dict.fromkeys([packaged_data() / kind, project_home() / kind]))


def data_files(kind: str, ending: str) -> dict[str, Path]:
    """Name -> file of each of `kind` with this ending; a shipped one goes before a user's of that name."""
    folders = reversed(data_folders(kind))
    return {path.stem: path for folder in folders for path in folder.glob(f"*{ending}")}


def brought_data() -> list[Path]:
    """Return the folders with files of data that ``$BENCHMARK_DATA`` names, whether they are there or not."""
    named = os.environ.get("BENCHMARK_DATA", "").split(os.pathsep)
    return [Path(part).expanduser() for part in named if part]


def cache_folder(kind: str) -> Path:
    """Return the folder of one kind of file that can be made again; whoever writes there creates it."""
    return project_home() / "datasets" / "cache" / kind


@contextmanager
def locked(name: str | Path, waiting: str = "", wait: bool = True) -> Iterator[None]:
    """Keep other processes of this project home out of the block; a lock ends with its process.

    Parameters
    ----------
    name
        Of the lock's file, in the project home.
    waiting
        What is said when another process holds it and this one waits.
    wait
        Whether one that another process holds is waited for.

    Raises
    ------
    Timeout
        When another process holds it, and it is not waited for.
    BenchmarkError
        When the project home cannot be written.
    """
    lock = FileLock(project_home() / name)
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
        if waiting:
            _log.info(waiting)
        lock.acquire()
    except OSError as error:
        raise unwritable(error) from error
    try:
        yield
    finally:
        lock.release()


def unwritable(error: OSError, folder: Path | None = None) -> BenchmarkError:
    """Build the error for a folder, the project home unless said, that cannot be written."""
    reason = error.strerror or str(error)
    return BenchmarkError(
        f"The folder {folder or project_home()} cannot be written ({reason}); set BENCHMARK_HOME to one "
        "that can."
    )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file that becomes `path` when the block succeeds and vanishes when it does not.

    Readers, and processes that write the same file at the same time, see a whole file or none.

    Raises
    ------
    BenchmarkError
        When the file cannot be written, such as on a full disk.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchmarkError(
            f"{path} could not be written ({reason}); make room, or set BENCHMARK_HOME to another folder."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
