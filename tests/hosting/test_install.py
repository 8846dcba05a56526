"""An environment is installed whole or not at all, and a method says whether it is there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import psutil
import pytest

from benchmark.errors import BenchmarkError
from benchmark.hosting.environment import Environment
from benchmark.hosting.installing import install, installed, uninstall
from benchmark.machine.paths import cache_folder
from benchmark.machine.progress import report_to
from tests.machine.process_case import COMMAND, PATIENCE, environment, wait_for_end, wait_until

CLASS = '''"""A hosted method."""
from benchmark.hosting.method import SubprocessMethod

class Packed(SubprocessMethod):
    name = "packed"
'''


def wheel(folder: Path, name: str, version: str = "1.0", needs: str = "") -> None:
    """Write a package of one module as a wheel."""
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = '{version}'\n")
        archive.writestr(
            f"{about}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + needs,
        )
        archive.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{about}/RECORD", "")


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder of wheels, the only place that pip takes packages from."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.fixture
def packed(tmp_path, index) -> Environment:
    """A method that needs two packages, the second without what it declares to need."""
    folder = tmp_path / "packed with ümläuts"
    folder.mkdir()
    (folder / "packed.py").write_text(CLASS)
    (folder / "requirements.txt").write_text("# pinned\none==1.0\n")
    (folder / "requirements-no-deps.txt").write_text("two==1.0\n")
    wheel(index, "one")
    wheel(index, "two", needs="Requires-Dist: nowhere\n")
    return Environment("packed", folder)


def left() -> list[str]:
    """What is in the folder of environments, locks aside."""
    return sorted(path.name for path in cache_folder("environments").iterdir() if path.suffix != ".lock")


def versions(environment: Environment) -> str:
    script = "import one, two; print(one.VERSION, two.VERSION)"
    command = [str(environment.python), "-I", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_requirements_are_installed_once_and_those_of_the_second_file_alone(packed):
    assert packed.python is None
    assert install(packed)
    assert versions(packed) == "1.0 1.0"
    assert not install(packed)


@pytest.mark.slow
def test_other_requirements_are_another_environment(packed, index):
    install(packed)
    wheel(index, "one", "2.0")
    (packed.folder / "requirements.txt").write_text("one==2.0\n")
    assert packed.python is None
    install(packed)
    assert versions(packed) == "2.0 1.0"


@pytest.mark.slow
def test_force_makes_it_anew_and_leaves_one(packed):
    install(packed)
    first = packed.python
    assert install(packed, force=True)
    assert packed.python != first
    assert not first.exists()
    assert len(left()) == 4  # the packages, a link to them, the environment on top and what points to it
    assert versions(packed) == "1.0 1.0"


@pytest.fixture
def twin(tmp_path, packed, index) -> Environment:
    """Another method with the same requirements, and a package of its own."""
    folder = tmp_path / "twin"
    folder.mkdir()
    (folder / "requirements.txt").write_text("# pinned\none==1.0\n")
    (folder / "requirements-no-deps.txt").write_text("three==1.0\n")
    wheel(index, "three")
    return Environment("twin", folder)


@pytest.mark.slow
def test_methods_with_the_same_requirements_share_what_takes_room(packed, twin):
    install(packed)
    (before,) = installed()
    assert before.methods == ["packed"]
    install(twin)
    (after,) = installed()
    assert after.folder == before.folder == twin.packages
    assert after.methods == ["packed", "twin"]
    assert before.size < after.size < before.size + 100_000
    script = "import importlib.util as u, one; print(*[u.find_spec(n) is not None for n in ('two', 'three')])"
    found = [
        subprocess.run([each.python, "-I", "-c", script], capture_output=True, text=True).stdout.strip()
        for each in (packed, twin)
    ]
    assert found == ["True False", "False True"]


@pytest.mark.slow
def test_what_another_method_uses_stays_until_nobody_does(packed, twin):
    install(packed)
    install(twin)
    size = installed()[0].size
    first = uninstall("packed")
    assert 0 < first < 100_000
    assert packed.python is None
    assert subprocess.run([twin.python, "-I", "-c", "import one, three"]).returncode == 0
    assert first + uninstall("twin") >= size
    assert left() == []
    assert uninstall("twin") == 0


@pytest.mark.slow
def test_made_anew_for_one_method_is_made_anew_for_all(packed, twin):
    install(packed)
    install(twin)
    old = packed.packages.resolve()
    install(twin, force=True)
    assert not old.exists()
    assert versions(packed) == "1.0 1.0"


def test_an_environment_from_before_packages_were_shared_is_still_one(packed):
    """What points to it named one folder."""
    python = packed.pointer.parent / "packed-old" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    packed.pointer.write_text(json.dumps({"folder": "packed-old"}))
    assert packed.python == python
    assert [(each.folder.name, each.methods) for each in installed()] == [("packed-old", ["packed"])]
    uninstall("packed")
    assert left() == []


UV = """#!/bin/sh
echo "$@" >> {told}
{what}
"""


def at_hand(folder: Path, monkeypatch, what: str) -> Path:
    """Put a stand-in for uv on the path; returns the file where it writes what it was told."""
    told = folder / "told"
    folder.mkdir()
    (folder / "uv").write_text(UV.format(told=told, what=what))
    (folder / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return told


@pytest.mark.slow
def test_uv_installs_where_it_is_at_hand(packed, tmp_path, monkeypatch):
    pip = f'shift 2; shift 2; exec "{sys.executable}" -m pip --python "$python" install "$@"'
    told = at_hand(tmp_path / "bin", monkeypatch, f'python="$4"\n{pip}')
    install(packed)
    assert versions(packed) == "1.0 1.0"
    lines = told.read_text().splitlines()
    assert [line.startswith("pip install --python ") for line in lines] == [True, True]
    assert "--no-deps" in lines[1]


@pytest.mark.slow
def test_pip_installs_where_uv_cannot(packed, tmp_path, monkeypatch, caplog):
    at_hand(tmp_path / "bin", monkeypatch, "echo no such index; exit 1")
    install(packed)
    assert versions(packed) == "1.0 1.0"
    assert any("uv cannot install what packed needs, so pip does" in line for line in caplog.messages)


@pytest.mark.slow
def test_a_package_that_cannot_be_had_leaves_nothing(packed, index):
    next(index.glob("two*")).unlink()
    sentence = (
        r"^The environment of 'packed' could not be installed \(pip ended with 1\), and nothing of it was "
        r"kept; see its last lines, then repeat `python -m benchmark install packed`:\n"
        r"(?s:.*)ERROR: No matching distribution found for two==1\.0"
    )
    with pytest.raises(BenchmarkError, match=sentence):
        install(packed)
    assert packed.python is None
    assert left() == []


@pytest.mark.slow
def test_an_index_that_does_not_answer_leaves_nothing(packed, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(BenchmarkError, match=r"(?s)could not be installed.*ERROR: No matching distribution"):
        install(packed)
    assert left() == []


@pytest.mark.slow
def test_a_failed_force_keeps_the_environment_that_was_there(packed, index):
    install(packed)
    before = left()
    next(index.glob("two*")).unlink()
    with pytest.raises(BenchmarkError, match="could not be installed"):
        install(packed, force=True)
    assert left() == before
    assert versions(packed) == "1.0 1.0"


def test_a_full_disk_leaves_nothing(packed, monkeypatch):
    """Files may have 20 kB only, so that pip itself, which the environment needs, has no room."""
    small = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); "
    script = packed.folder / "small"
    script.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "{small}import os; '
        'os.execv(sys.executable, [sys.executable] + sys.argv[1:])" "$@"\n'
    )
    script.chmod(0o755)
    with pytest.raises(BenchmarkError, match=r"could not be installed \((venv|pip) ended with"):
        install(packed, python=str(script))
    assert packed.python is None
    assert left() == []


def test_a_python_that_is_not_there_is_named(packed):
    with pytest.raises(BenchmarkError, match=r"There is no Python 'python9' .*; check --python"):
        install(packed, python="python9")
    assert left() == []


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_an_installation_that_is_stopped_counts_for_nothing(packed, tmp_path, sign):
    """Stopped while pip builds a package that never ends; the next installation clears up."""
    source = tmp_path / "endless"
    source.mkdir()
    begun = tmp_path / "begun"
    (source / "setup.py").write_text(
        f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(3600)\n", encoding="utf-8"
    )
    (packed.folder / "requirements.txt").write_text(f"{source.as_uri()}\n", encoding="utf-8")
    process = subprocess.Popen(
        [*COMMAND, "install", f"{packed.folder / 'packed.py'}:Packed"],
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(), "PIP_NO_BUILD_ISOLATION": "0"},
    )
    wait_until("pip builds the package", begun.exists, process)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(sign)
    process.communicate(timeout=PATIENCE)
    assert packed.python is None
    if sign == signal.SIGINT:
        assert left() == []
        wait_for_end(family)
    (packed.folder / "requirements.txt").write_text("one==1.0\n", encoding="utf-8")
    install(packed)
    assert versions(packed) == "1.0 1.0"


@pytest.mark.slow
def test_progress_counts_packages(packed):
    class Bars:
        def __init__(self):
            self.stages = []

        def stage(self, name, total):
            from contextlib import nullcontext

            self.stages.append([name, total, 0])
            return nullcontext(self)

        def advance(self, steps=1, **values):
            self.stages[-1][2] += steps

    bars = Bars()
    with report_to(bars):
        install(packed)
    assert bars.stages == [["install packed", 3, 3]]


@pytest.mark.slow
def test_the_command_installs_and_the_list_says_so(type_, packed):
    method = f"{packed.folder / 'packed.py'}:Packed"
    code, out, _ = type_("install", method)
    assert code == 0
    assert out == f"{method} is installed: {packed.python}\n"
    assert "was installed already" in type_("install", method)[1]
    (listed,) = json.loads(type_("install", "--list", "--json")[1])
    assert listed["used by"] == "packed"
    rows = {row["name"]: row["ready"] for row in json.loads(type_("methods", "--json")[1])}
    assert rows["additive"] == "yes"
    assert rows["gears"] == "`python -m benchmark install gears`"


@pytest.mark.slow
def test_the_licence_of_a_package_is_said_before_it_is_installed(type_, index):
    """There is nothing to install from here; what was said is said by then."""
    code, out, err = type_("install", "state")
    assert code == 2
    assert out.startswith("Licence: arc-state 0.11.1: CC BY-NC-SA 4.0, for non-commercial use only")
    assert "could not be installed" in err


def test_an_installation_needs_a_name_and_what_is_not_there_frees_nothing(type_):
    code, _, err = type_("install")
    assert (code, err) == (2, "Error: Name a method to install; `python -m benchmark methods` lists them.\n")
    assert type_("uninstall", "gears")[:2] == (0, "gears is not installed; 0 MiB are free again.\n")
    assert type_("install", "--list", "--json")[:2] == (0, "[]\n")


def test_a_method_without_an_environment_of_its_own_is_not_installed(type_):
    code, _, err = type_("install", "additive")
    assert (code, err) == (
        2,
        "Error: The method 'additive' needs no environment of its own; run it as it is.\n",
    )
