"""A repository for a method of one's own: the method, its test and the entry point that makes it known."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shutil
import uuid
from pathlib import Path
from string import Template

from benchmark.errors import BenchmarkError

_TEMPLATES = Path(__file__).with_name("template_files")
PLACES = {
    "README.md": "README.md.txt",
    "pyproject.toml": "pyproject.toml.txt",
    ".gitignore": "gitignore.txt",
    "src/$name/__init__.py": "method.py.txt",
    "tests/test_$name.py": "test_method.py.txt",
}
"""File of the repository -> the template that it is made from."""


def write_repository(name: str, folder: Path) -> list[Path]:
    """Write the repository of a method, whole or not at all.

    Parameters
    ----------
    name
        Of the method, and of the package that it is imported from.
    folder
        Where it is written; nothing may be there.

    Returns
    -------
    list of Path
        The files, below `folder`.

    Raises
    ------
    BenchmarkError
        Where the name cannot be imported, or is that of something else, or where something is in the way.
    """
    _check_form(name)
    if folder.exists():
        raise BenchmarkError(f"{folder} is there already; choose another place with --output, or remove it.")
    _check_free(name)
    words = {
        "name": name,
        "class_name": "".join(word.capitalize() for word in name.split("_")),
        "distribution": name.replace("_", "-"),
    }
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    places = {Template(place).substitute(words): template for place, template in PLACES.items()}
    try:
        for place, template in places.items():
            path = draft / place
            path.parent.mkdir(parents=True, exist_ok=True)
            text = Template((_TEMPLATES / template).read_text(encoding="utf-8"))
            path.write_text(text.substitute(words), encoding="utf-8")
        draft.replace(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchmarkError(f"{folder} could not be written ({reason}); choose another place.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return [folder / place for place in places]


def _check_form(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise BenchmarkError(
            f"A method is named in small letters, digits and single underscores, as my_method, not '{name}'."
        )


def _check_free(name: str) -> None:
    from benchmark.registry import list_methods

    if name in {listing.name for listing in list_methods()}:
        raise BenchmarkError(f"There is a method '{name}' already; choose another name.")
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin is not None:  # a folder that happens to be called so hides nothing
        raise BenchmarkError(
            f"There is a package '{name}' already, which would hide yours; choose another name."
        )
