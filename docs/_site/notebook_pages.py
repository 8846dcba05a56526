"""A page for every notebook, with the outputs that are committed with it."""

from __future__ import annotations

import base64
from pathlib import Path

import nbformat

FOLDER = Path(__file__).parents[1] / "notebooks"


def pages() -> dict[str, str | bytes]:
    """Address in the site -> Markdown, or a picture."""
    made: dict[str, str | bytes] = {}
    for path in sorted(FOLDER.glob("*.ipynb")):
        parts, pictures = [], {}
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                parts.append(cell.source)
                continue
            parts.append(_fenced("python", cell.source))
            for output in cell.outputs:
                text, picture = _output(output)
                if picture:
                    name = f"{path.stem}-{len(pictures) + 1}.png"
                    pictures[f"notebooks/{name}"] = picture
                    text = f"![what the cell above draws]({name})"
                parts.append(text)
        made |= {f"notebooks/{path.stem}.md": "\n\n".join(parts), **pictures}
    return made


def _output(output: nbformat.NotebookNode) -> tuple[str, bytes]:
    """What a cell gave: Markdown and a picture, one of them empty."""
    if output.output_type == "stream":
        return _fenced("text", output.text.rstrip()), b""
    data = output.data
    if "image/png" in data:
        return "", base64.b64decode(data["image/png"])
    return _fenced("text", data["text/plain"]), b""


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"
