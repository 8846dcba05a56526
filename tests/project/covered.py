"""Prints what share of each room the tests have taken: `make coverage` runs it after them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from coverage import Coverage

NUMBERS = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def by_room() -> dict[str, Counter[str]]:
    """Statements and branches of each room, and how many of them were taken."""
    data = Coverage()
    data.load()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        data.json_report(outfile=str(path))
        files = json.loads(path.read_text())["files"]
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    for name, found in files.items():
        package, room = Path(name).with_suffix("").parts[:2]
        rooms[f"benchmark/{room}" if package == "benchmark" else package] += Counter(
            {number: found["summary"][number] for number in NUMBERS}
        )
    return rooms


def main() -> None:
    """Print a line per room: lines, branches, and both together as coverage counts them."""
    print(f"{'room':<24}{'lines':>8}{'branches':>10}{'both':>8}")
    for room, found in sorted(by_room().items()):
        lines, branches = found["num_statements"], found["num_branches"]
        taken = found["covered_lines"], found["covered_branches"]
        both = sum(taken) / max(1, lines + branches)
        print(f"{room:<24}{taken[0] / lines:>8.1%}{taken[1] / max(1, branches):>10.1%}{both:>8.1%}")


if __name__ == "__main__":
    main()
