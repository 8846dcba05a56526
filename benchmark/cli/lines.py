"""Text for a terminal: lines that end between words."""

from __future__ import annotations

import shutil
import textwrap


def filled(text: str, width: int | None = None, first: str = "", others: str = "") -> str:
    """Break a text into lines between words; a word that is longer than a line stays whole.

    Parameters
    ----------
    text
        One paragraph.
    width
        Columns of a line; those of the terminal unless said.
    first, others
        What the first line begins with, and the lines after it.
    """
    return textwrap.fill(
        text,
        shutil.get_terminal_size().columns if width is None else width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
