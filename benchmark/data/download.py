"""Finding the file of a dataset: in the cache, in ``$BENCHMARK_DATA``, or at its public address."""

from __future__ import annotations

import gzip
import json
import logging
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from benchmark.data.cards import FileCard
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import brought_data, cache_folder, replacing
from benchmark.machine.progress import Stage, stage

TABLES = (".txt", ".tsv", ".csv")

_log = logging.getLogger("benchmark")


def find(card: FileCard) -> Path:
    """Return the file of a card, downloaded if it must be, with its checksum verified.

    Raises
    ------
    BenchmarkError
        When the file is nowhere, its address does not answer, or its checksum is wrong; a file with a
        wrong checksum is renamed, so that nothing uses it.
    """
    path = nearby(card) or _download(card)
    _verify(card, path)
    return path


def known_checksum(card: FileCard) -> str | None:
    """Return the SHA-256 that the card's file must have: the card's own, or the one pinned before."""
    return card.sha256 or _pins().get(card.name)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    import pooch

    return str(pooch.file_hash(str(path), alg="sha256"))


def checksum_in_place(card: FileCard) -> str:
    """Return the SHA-256 of a file that stays where its owner has it.

    Raises
    ------
    BenchmarkError
        When it is gone, or is another one than when its card was written; it is left as it is.
    """
    path = Path(str(card.local_file))
    if not path.is_file():
        raise BenchmarkError(f"There is no file {path}; check the path.")
    found = sha256_of(path)
    if card.sha256 not in (None, found):
        raise BenchmarkError(
            f"{path} has changed since it was added as '{card.name}' (SHA-256 {found[:12]}, not "
            f"{str(card.sha256)[:12]}); add it again under another name: python -m benchmark datasets add."
        )
    return found


@contextmanager
def opened(card: FileCard, path: Path) -> Iterator[Path]:
    """Give the ``.h5ad`` of a card's file: the file itself, or what is in a zip or gzip file, for a while."""
    if card.member is None and path.suffix != ".gz":
        yield path
        return
    unpacked = _downloads() / f"unpacked-{uuid.uuid4().hex}.h5ad"
    try:
        with replacing(unpacked) as temporary:
            _unpack(path, card.member, temporary)
        yield unpacked
    finally:
        unpacked.unlink(missing_ok=True)


def nearby(card: FileCard) -> Path | None:
    """Return the file of a card where it is on this machine, unverified, else None."""
    if card.local_file is None:
        raise BenchmarkError(f"The {card.kind} '{card.name}' names no file; give its card a 'local_file'.")
    candidates = [folder / card.local_file for folder in (_downloads(), *brought_data())]
    return next((path for path in candidates if path.is_file()), None)


def _downloads() -> Path:
    return cache_folder("downloads")


def _download(card: FileCard) -> Path:
    advice = f"put {card.local_file} into a folder and name that folder in BENCHMARK_DATA"
    if card.url is None:
        raise BenchmarkError(f"The file of {card.kind} '{card.name}' has no public address; {advice}.")
    import pooch
    import requests

    path = _downloads() / str(card.local_file)
    _log.info("Downloading %s from %s", card.local_file, card.url)
    with replacing(path) as temporary, _Bar(f"download {card.name}") as bar:
        fetch = pooch.HTTPDownloader(progressbar=bar, hooks={"response": bar.close_after})
        try:
            fetch(card.url, str(temporary), None)
        except requests.RequestException as error:
            raise BenchmarkError(
                f"The {card.kind} '{card.name}' could not be downloaded from {card.url} ({_reason(error)}); "
                f"try again later, or {advice}."
            ) from error
        if known_checksum(card) is None and not _is_whole(card, temporary):
            raise BenchmarkError(
                f"{card.url} sent no whole file for {card.kind} '{card.name}' (a web page, or cut short), "
                f"and nothing was kept; try again later, or {advice}."
            )
    return path


def _is_whole(card: FileCard, path: Path) -> bool:
    """Whether a file without a checksum can be read at all, so that no error page is ever pinned."""
    if card.member is not None:
        return zipfile.is_zipfile(path)
    if str(card.local_file).endswith(TABLES):
        return _is_table(path)
    try:
        if str(card.local_file).endswith(".gz"):
            with gzip.open(path) as content:
                while content.read(1 << 20):
                    pass
        else:
            import h5py

            h5py.File(path, "r").close()
    except (OSError, EOFError, zlib.error):
        return False
    return True


def _is_table(path: Path) -> bool:
    """Whether a file begins with names of columns, and no web page does; what was cut short never came."""
    with path.open("rb") as file:
        first = file.readline()
    return not first.lstrip().startswith(b"<") and (b"\t" in first or b"," in first)


def _verify(card: FileCard, path: Path) -> None:
    expected, found = known_checksum(card), sha256_of(path)
    if expected is None:
        _pin(card.name, found)
        _log.warning(
            "The %s '%s' has no published checksum: pinned SHA-256 %s of %s in %s; later copies must match.",
            *(card.kind, card.name, found, path, _lock_file()),
        )
    elif found != expected:
        aside = path.with_name(f"{path.name}.bad-{found[:8]}")
        try:
            path.replace(aside)
            outcome = f"it was set aside as {aside.name}"
        except OSError:
            outcome = "it was not used and, as its folder is read-only, left there"
        raise BenchmarkError(
            f"{path} has SHA-256 {found}, but {expected} was expected; {outcome}: get the file again."
        )


def _lock_file() -> Path:
    return cache_folder("checksums.lock.json")


def _pins() -> dict[str, str]:
    path = _lock_file()
    try:
        pins = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return {str(name): str(checksum) for name, checksum in pins.items()}
    except (ValueError, AttributeError) as error:
        raise BenchmarkError(f"{path} is damaged ({error}); delete it to pin checksums anew.") from error


def _pin(name: str, checksum: str) -> None:
    pins = _pins() | {name: checksum}
    with replacing(_lock_file()) as temporary:
        temporary.write_text(json.dumps(pins, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _unpack(archive: Path, member: str | None, target: Path) -> None:
    try:
        with ExitStack() as stack:
            source: IO[bytes] | gzip.GzipFile
            if member is None:
                source = stack.enter_context(gzip.open(archive))
            else:
                files = stack.enter_context(zipfile.ZipFile(archive))
                source = stack.enter_context(files.open(member))
            shutil.copyfileobj(source, stack.enter_context(target.open("wb")), 1 << 20)
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, KeyError, EOFError) as error:
        raise BenchmarkError(
            f"{archive} cannot be unpacked ({error}); delete it, so that it is fetched again."
        ) from error


def _reason(error: Exception) -> str:
    """Return the innermost cause in a few words: what a person can act on, without object addresses."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"HTTP status {status}" if status else type(error).__name__


class _Bar:
    """What pooch expects of a progress bar, as a stage of `benchmark.machine.progress`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0
        self.done = 0
        self._stack = ExitStack()
        self._stage: Stage | None = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    def close_after(self, response: Any, **details: object) -> None:
        """Have a connection closed with the bar, however the download ends."""
        self._stack.callback(response.close)

    def update(self, count: int) -> None:
        """Count bytes; pooch counts whole chunks, and everything once more at the end."""
        step = min(count, self.total - self.done)
        if step > 0:
            self._stage = self._stage or self._stack.enter_context(stage(self.name, self.total))
            self._stage.advance(step)
            self.done += step

    def reset(self) -> None:
        """Do nothing: the bar is full already."""

    def close(self) -> None:
        """Close the stage."""
        self._stack.close()
