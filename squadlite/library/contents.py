"""Pages cut into chapters as the book's table of contents says."""

from collections import Counter
from dataclasses import dataclass

from squadlite.library.structure import Block


@dataclass(frozen=True)
class Entry:
    """A line of the table of contents: its title, the page and anchor it leads to, its depth."""

    title: str
    href: str
    anchor: str
    depth: int


@dataclass(frozen=True)
class Part:
    """A chapter on a page: its title ("" unknown), its anchor ("" the page's start), its text."""

    title: str
    anchor: str
    blocks: list[Block]


def split_page(blocks: list[Block], entries: list[Entry]) -> list[Part]:
    """
    The chapters of a page.

    An entry for the page as a whole makes it one chapter. Else it is cut where the entries of the
    highest level that has several point into it.

    Args:
        blocks: the page.
        entries: those that lead to it.
    """
    whole = [entry for entry in entries if not entry.anchor]
    if whole:
        return [Part(whole[0].title, "", blocks)]
    starts = {anchor: index for index, block in enumerate(blocks) for anchor in block.anchors}
    found = [entry for entry in entries if entry.anchor in starts]
    if len(found) < 2:
        return [Part(entries[0].title if entries else "", "", blocks)]
    depths = Counter(entry.depth for entry in found)
    depth = min((depth for depth, number in depths.items() if number > 1), default=max(depths))
    cuts = {starts[entry.anchor]: entry for entry in reversed(found) if entry.depth <= depth}
    positions = sorted(cuts)
    parts = []
    if positions[0] > 0:
        parts.append(Part("", "", blocks[: positions[0]]))
    for start, end in zip(positions, [*positions[1:], len(blocks)], strict=True):
        parts.append(Part(cuts[start].title, cuts[start].anchor, blocks[start:end]))
    return parts


def first_heading(blocks: list[Block]) -> str:
    """The first heading on one line; "" where there is none."""
    heading = next((block.text for block in blocks if block.level), "")
    return " ".join(heading.split())
