"""Methods with the same requirements share packages, and none takes what another one uses."""

from __future__ import annotations

import json
import subprocess

import pytest

from benchmark.hosting.environment import Environment
from benchmark.hosting.installing import install, installed, uninstall
from tests.hosting.packages import left, versions, wheel


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
