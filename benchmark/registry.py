"""Find methods by name without importing them: in `methods/`, among entry points, or in a file.

``foo`` is the class in ``methods/foo.py`` whose ``name`` is "foo"; ``path/to/file.py:Class`` is a
class of your own; packages offer theirs through entry points in the group ``benchmark.methods``.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError, unknown
from benchmark.machine.extras import lacking, named_where_missing

if TYPE_CHECKING:
    from benchmark.method import Method

GROUP = "benchmark.methods"
FROM_FILE = "_benchmark_method_"
"""Begins the name of a module that was loaded from a file."""


@dataclass(frozen=True)
class Listing:
    """A method as a list shows it: nothing of it has been imported.

    `folder` is that of a method which is a package, else None.
    """

    name: str
    summary: str
    source: str
    folder: Path | None = None


def list_methods() -> list[Listing]:
    """Every method by name: those of `methods/`, then those of installed packages."""
    found = [
        Listing(
            name,
            _first_line(path),
            f"methods/{path.name if path.stem == name else name}",
            path.parent if path.name == "__init__.py" else None,
        )
        for name, path in sorted(_modules().items())
    ]
    known = {listing.name for listing in found}
    return found + [
        Listing(point.name, f"from {point.value}", "entry point")
        for point in sorted(_entry_points(), key=lambda point: point.name)
        if point.name not in known
    ]


def load_method(name: str) -> type[Method]:
    """Import the class of a method.

    Parameters
    ----------
    name
        A listed name, or ``path/to/file.py:Class``.

    Raises
    ------
    BenchmarkError
        When there is no such method, or what is found is not a `Method` of that name.
    """
    path, separator, class_name = name.rpartition(":")
    if separator and path.endswith(".py"):
        return _from_file(Path(path), class_name)
    if name in _modules():
        return _from_module(name)
    for point in _entry_points():
        if point.name == name:
            return _checked(point.load(), point.value)
    raise unknown(
        "method",
        name,
        [listing.name for listing in list_methods()],
        "`python -m benchmark methods` lists them",
    )


def spelling(method: type[Method]) -> str:
    """How `load_method` is asked for a method that it has loaded."""
    if method.__module__.startswith(FROM_FILE):
        return f"{inspect.getfile(method)}:{method.__qualname__}"
    return method.name


def missing_extras() -> dict[str, str]:
    """Return each method of `methods/` that cannot be imported here -> the extra that it lacks."""
    extras = lacking()
    lacks = {name: sorted(extras.keys() & _outside(path)) for name, path in _modules().items() if extras}
    return {name: extras[modules[0]] for name, modules in lacks.items() if modules}


def source_digest(method: type[Method]) -> str:
    """SHA-256 of the files that define a method and what it derives from, outside the harness.

    Of a method that is a package, all its source files and requirements count.
    """
    files = {
        str(file)
        for part in method.__mro__
        if not _is_harness(part.__module__)
        for file in _sources(Path(inspect.getfile(part)))
    }
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in sorted(files))).hexdigest()


def _sources(path: Path) -> list[Path]:
    if path.name != "__init__.py":
        return [path]
    return [file for pattern in ("*.py", "*.txt") for file in path.parent.rglob(pattern)]


def _is_harness(module: str) -> bool:
    return module.split(".")[0] in ("benchmark", "builtins", "abc")


def _folders() -> list[Path]:
    spec = importlib.util.find_spec("methods")
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or []]


def _modules() -> dict[str, Path]:
    """Name and source file of each module or package in `methods` that does not begin with `_`."""
    found = {}
    for folder in _folders():
        for path in folder.iterdir():
            source = path / "__init__.py" if path.is_dir() else path
            if not path.name.startswith("_") and source.suffix == ".py" and source.is_file():
                found[path.stem] = source
    return found


@cache
def _outside(path: Path) -> frozenset[str]:
    """The packages that are imported when a file of `methods/` is, by itself or by others of `methods/`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            package, *inside = node.module.split(".")
            found.add(package)
            if package == "methods":
                names = [inside, *([*inside, alias.name] for alias in node.names)]
                found |= {each for name in names for file in _files(name) for each in _outside(file)}
    return frozenset(found)


def _files(name: list[str]) -> list[Path]:
    """The file of a module of `methods/`, which its name in parts says."""
    places = [folder.joinpath(*name) for folder in _folders()]
    files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    return [file for file in files if file.is_file()]


def _entry_points() -> list[EntryPoint]:
    return list(entry_points(group=GROUP))


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def _from_module(name: str) -> type[Method]:
    with named_where_missing():
        module = importlib.import_module(f"methods.{name}")
    for value in vars(module).values():
        if inspect.isclass(value) and getattr(value, "name", None) == name and not inspect.isabstract(value):
            return _checked(value, f"methods.{name}")
    raise BenchmarkError(f"methods/{name} defines no class with name = '{name}'; give its Method that name.")


def _from_file(path: Path, class_name: str) -> type[Method]:
    if not path.is_file():
        raise BenchmarkError(
            f"There is no file {path} to take the method '{class_name}' from; check the path."
        )
    module_name = f"{FROM_FILE}{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise BenchmarkError(f"{path} cannot be imported as a Python file; it must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BenchmarkError(
            f"{path} cannot be imported ({type(error).__name__}: {error}); correct the file."
        ) from error
    if not hasattr(module, class_name):
        classes = [key for key, value in vars(module).items() if inspect.isclass(value)]
        raise unknown(f"class in {path}", class_name, classes)
    return _checked(getattr(module, class_name), f"{path}:{class_name}")


def _checked(value: object, where: str) -> type[Method]:
    from benchmark.method import Method

    if not (inspect.isclass(value) and issubclass(value, Method)):
        raise BenchmarkError(f"{where} is not a method; derive the class from benchmark.method.Method.")
    missing = sorted(getattr(value, "__abstractmethods__", ()))
    if missing:
        raise BenchmarkError(f"{where} does not define {', '.join(missing)}; every method needs them.")
    if not getattr(value, "name", ""):
        raise BenchmarkError(f"{where} has no name; set the class attribute name.")
    return value
