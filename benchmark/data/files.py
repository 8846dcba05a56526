"""Files that people name by their path: how they are read and called, and the cards made of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark.data.cards import DatasetCard, list_cards
from benchmark.data.gene_tables import is_table_file
from benchmark.data.refusal import reading, toml
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import project_home, replacing

NEEDED = ("perturbation_column", "control_label")


def card_of_file(path: Path, options: Mapping[str, Any]) -> DatasetCard:
    """Return how a file is read: as the options say, or without any as its card does.

    Raises
    ------
    BenchmarkError
        When there is no file, or it is not said how to read it.
    """
    if not path.is_file():
        raise BenchmarkError(f"There is no file {path}; check the path.")
    if not options and (card := _added(path)) is not None:
        return card
    for needed in NEEDED:
        if needed not in options:
            option = needed.replace("_", "-")
            raise BenchmarkError(
                f"{path} is a file without a card; say how to read it with --{option} "
                f"(`python -m benchmark datasets describe {path}` proposes how)."
            )
    return checked_card(path, options)


def checked_card(path: Path, options: Mapping[str, Any]) -> DatasetCard:
    """Return a card for a file, named as the file is."""
    fields = {"name": _name_of_file(path), "local_file": str(path.resolve()), **options}
    table = fields.get("gene_table")
    if table is not None and is_table_file(str(table)):
        fields["gene_table"] = str(Path(table).expanduser().resolve())
    try:
        return DatasetCard.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise BenchmarkError(f"{path}: {first['msg'].removeprefix('Value error, ')}.") from error
        option = str(first["loc"][0]).replace("_", "-")
        raise BenchmarkError(f"--{option} is '{first['input']}', but: {first['msg']}.") from error


def registered(card: DatasetCard, digest: str) -> DatasetCard:
    """Give the card of a file a name that no other cells have, and note how the file is read.

    The first to come is called as its file; what has the same name but other cells, since it is another file
    or one that is read in another way, has the beginning of its digest added.

    Parameters
    ----------
    card
        Of a file by its path.
    digest
        `benchmark.data.digests.content_digest` of its cells.
    """
    if card.name in {added.name for added in list_cards()}:
        return card
    for name in (card.name, f"{card.name}-{digest[:8]}"):
        noted = _noted(name)
        if noted is None or noted["digest"] == digest:
            break
    named = card.model_copy(update={"name": name})
    note = {"digest": digest, "file": card.local_file, "reading": reading(named)}
    if note != noted:
        with replacing(_note(name)) as draft:
            draft.write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    return named


def known(name: str) -> DatasetCard | None:
    """Return how a file was read that was given this name, None where there is no such file."""
    noted = _noted(name)
    if noted is None or name in {card.name for card in list_cards()}:
        return None
    if not Path(noted["file"]).is_file():
        raise BenchmarkError(f"The file of '{name}', {noted['file']}, is gone; name it by its path.")
    return checked_card(Path(noted["file"]), noted["reading"]).model_copy(update={"name": name})


def named(card: DatasetCard, name: str) -> DatasetCard:
    """Return a card under another name.

    Raises
    ------
    BenchmarkError
        When it is fit for no file.
    """
    return checked_card(Path(str(card.local_file)), {**reading(card), "name": name})


def name_of(path: Path) -> str:
    """Return the name of a file in a form that is fit for folders."""
    return re.sub(r"[^\w.-]+", "_", path.stem)


def add_card(card: DatasetCard, checksum: str) -> Path:
    """Write a card for a file, so that its reading options need not be given again.

    Raises
    ------
    BenchmarkError
        When there is another card of this name.
    """
    taken = {other.name: other for other in list_cards()}
    path = project_home() / "datasets" / f"{card.name}.toml"
    fields = {"title": card.title or f"{Path(str(card.local_file)).name}", "local_file": card.local_file}
    about = {**fields, "sha256": checksum, "modality": card.modality, **reading(card)}
    if card.name in taken:
        other = taken[card.name]
        if (other.local_file, other.sha256, reading(other)) != (card.local_file, checksum, reading(card)):
            raise BenchmarkError(f"There is a data set '{card.name}' already; choose another with --name.")
        return path
    tables = {name: value for name, value in about.items() if isinstance(value, Mapping)}
    lines = [f"{name} = {toml(value)}" for name, value in about.items() if name not in tables]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{json.dumps(key)} = {toml(value)}" for key, value in table.items())]
    with replacing(path) as draft:
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _added(path: Path) -> DatasetCard | None:
    """The card that was written for a file, where there is one."""
    place = str(path.resolve())
    found = [card for card in list_cards() if card.local_file == place]
    if len(found) > 1:
        names = ", ".join(card.name for card in found)
        raise BenchmarkError(f"{path} is read in several ways, as {names}; say which by its name.")
    return found[0] if found else None


def _noted(name: str) -> dict[str, Any] | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        noted: dict[str, Any] = json.loads(_note(name).read_text(encoding="utf-8"))
        return {part: noted[part] for part in ("digest", "file", "reading")}
    return None


def _note(name: str) -> Path:
    return project_home() / "datasets" / "files" / f"{name}.json"


def _name_of_file(path: Path) -> str:
    """Return the file's name, kept apart from the names of cards."""
    name = name_of(path)
    return f"{name}.file" if name in {card.name for card in list_cards()} else name
