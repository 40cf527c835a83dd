"""Project Gutenberg's header and licence, set apart from the book between them."""

import re

from squadlite.library.structure import Block

_START = re.compile(r"\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG", re.IGNORECASE)
_END = re.compile(
    r"\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG|^End of (?:the )?Project Gutenberg['’]?s? ",
    re.IGNORECASE,
)
_CREDIT = re.compile(
    r"(?:Produced|Transcribed|Prepared|E-?text prepared|This e-?text was produced) (?:by|from)\b",
    re.IGNORECASE,
)
# The credit stands among the first paragraphs.
_CREDIT_BLOCKS = 4


def without_licence(blocks: list[Block]) -> list[Block]:
    """The blocks between Project Gutenberg's header and its licence; all where there is neither."""
    start = _first(_START, blocks)
    if start is not None:
        blocks = blocks[start + 1 :]
        head = [block for block in blocks[:_CREDIT_BLOCKS] if not _CREDIT.match(block.text)]
        blocks = head + blocks[_CREDIT_BLOCKS:]
    end = _first(_END, blocks)
    return blocks if end is None else blocks[:end]


def _first(pattern: re.Pattern[str], blocks: list[Block]) -> int | None:
    return next((index for index, block in enumerate(blocks) if pattern.search(block.text)), None)
