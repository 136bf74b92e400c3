"""Markdown tables, and the page that keeps those of each device."""

from collections.abc import Sequence


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replace_block(page: str, part: str, device: str, content: str) -> str:
    """The page with another content between `<!-- part, device -->` and `<!-- end -->`; other blocks stay.

    Raises ValueError when the page has no such block.
    """
    head, start, rest = page.partition(f"<!-- {part}, {device} -->\n")
    _, end, tail = rest.partition("<!-- end -->")
    if not (start and end):
        raise ValueError(f"the page must have a block <!-- {part}, {device} --> ... <!-- end -->, got none")
    return f"{head}{start}{content.rstrip()}\n{end}{tail}"
