"""Paragraphs of word processors' documents, gathered while a document is walked through."""

import unicodedata

from squadlite.library.markup import clean_line
from squadlite.library.structure import Block

_CELL = " | "


class ParagraphBuilder:
    """
    Takes a document's text and structure in their order, and makes blocks of them.

    Attributes:
        blocks: the paragraphs that have ended, as far as they have text.
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._lines: list[list[str]] = [[]]
        self._has_text = False
        self._anchors: list[str] = []
        self._notes: list[Block] = []
        self._levels: list[int] = []
        self._rows: list[bool] = []
        self._links = 0
        self._linked = 0
        self._cell_ended = False

    @property
    def in_paragraph(self) -> bool:
        """Whether a paragraph has begun and not ended."""
        return bool(self._levels)

    def add(self, text: str) -> None:
        """Add text; whitespace in it counts as one space."""
        is_visible = bool(text.strip())
        if self._cell_ended and is_visible:
            self._cell_ended = False
            if self._has_text:
                self._lines[-1].append(_CELL)
        self._has_text = self._has_text or is_visible
        self._lines[-1].append(text)
        if self._links:
            self._linked += len(text)

    def break_line(self) -> None:
        """End the line where the author does."""
        self._lines.append([])

    def add_anchor(self, name: str) -> None:
        """Mark the place as one that links lead to."""
        self._anchors.append(name)

    def add_notes(self, blocks: list[Block]) -> None:
        """Put notes behind the paragraph that they belong to."""
        self._notes += blocks

    def begin_link(self) -> None:
        """What follows stands inside a link."""
        self._links += 1

    def end_link(self) -> None:
        """The link ends."""
        self._links -= 1

    def begin_paragraph(self, level: int) -> None:
        """Begin a paragraph, a heading if `level` isn't 0; a text box has its own in another."""
        if self._levels and not self._in_line():
            self.end_block()
        self._levels.append(level)

    def end_paragraph(self) -> None:
        """End the paragraph."""
        level = self._levels.pop()
        if self._in_line():
            self._lines[-1].append(" ")
        else:
            self.end_block(level)

    def begin_row(self, *, one_line: bool) -> None:
        """Begin a table's row, which becomes one line, or a paragraph for each of its own."""
        self._rows.append(one_line)

    def begin_cell(self) -> None:
        """Begin a cell; in a row of one line it is set apart from the one before it."""
        if self._in_line():
            self.end_cell()

    def end_cell(self) -> None:
        """Set what follows on the line apart from what stands before it."""
        self._cell_ended = True

    def end_row(self) -> None:
        """End the row."""
        if self._rows.pop():
            self.end_block()

    def _in_line(self) -> bool:
        return bool(self._rows) and self._rows[-1]

    def end_block(self, level: int = 0) -> None:
        """Make a block of the text since the last one, if there is any."""
        cleaned = (clean_line("".join(line)) for line in self._lines)
        lines = [line for line in cleaned if line]
        if lines:
            # Marks may come together with their letters only where lines are joined.
            text = unicodedata.normalize("NFC", "\n".join(lines))
            share = min(self._linked / len(text), 1.0)
            self.blocks.append(Block(text, level, tuple(self._anchors), share))
            self._anchors.clear()
        self._lines = [[]]
        self._has_text = False
        self._cell_ended = False
        self._linked = 0
        self.blocks += self._notes
        self._notes = []
