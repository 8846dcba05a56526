"""The leaderboard as one HTML file that opens from disk and asks no network for anything.

`content` says what is on the page, `runs` and `verdict` are its details and its short answer; `parts` holds
its HTML, CSS and plain JavaScript, which `file` puts together.
"""

from benchmark.board.page.content import as_content
from benchmark.board.page.file import as_html
from benchmark.board.page.published import PublishedBoard

__all__ = ["PublishedBoard", "as_content", "as_html"]
