"""Packages to install that take a second, and what is left of them."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

from benchmark.hosting.environment import Environment
from benchmark.machine.paths import cache_folder

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


def left() -> list[str]:
    """What is in the folder of environments, locks aside."""
    return sorted(path.name for path in cache_folder("environments").iterdir() if path.suffix != ".lock")


def versions(environment: Environment) -> str:
    script = "import one, two; print(one.VERSION, two.VERSION)"
    command = [str(environment.python), "-I", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
