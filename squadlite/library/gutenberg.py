"""Project Gutenberg's header and licence, set apart from the book between them."""

import re
from dataclasses import dataclass

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
_FIELD = re.compile(r"^[ \t]*(Title|Author|Language):[ \t]*(.+)$", re.MULTILINE)
_NUMBER = re.compile(r"\[E-?(?:book|text) ?#(\d{1,7})\]", re.IGNORECASE)
_PAGE_TITLE = re.compile(
    r"(?:The )?Project Gutenberg(?:'s|’s)? ?(?:e-?book|e-?text)? ?(?:of)?,? (.+?)"
    r"(?:,? by (.+?))?(?: [—-] Project Gutenberg)?",
    re.IGNORECASE,
)
_LANGUAGES = {
    "english": "en",
    "french": "fr",
    "german": "de",
    "spanish": "es",
    "italian": "it",
    "portuguese": "pt",
    "dutch": "nl",
    "finnish": "fi",
    "swedish": "sv",
    "latin": "la",
}


@dataclass(frozen=True)
class Header:
    """What the header says of the book; "" where it says nothing."""

    title: str = ""
    author: str = ""
    language: str = ""
    identifier: str = ""


def read_header(blocks: list[Block]) -> Header:
    """Title, author, language and identifier from the header; all "" where there is none."""
    start = _first(_START, blocks)
    if start is None:
        return Header()
    text = "\n".join(block.text for block in blocks[:start])
    fields = {name.lower(): value.strip() for name, value in reversed(_FIELD.findall(text))}
    language = fields.get("language", "").lower()
    number = _NUMBER.search(text)
    return Header(
        title=fields.get("title", ""),
        author=fields.get("author", ""),
        language=_LANGUAGES.get(language, ""),
        # As the identifier of Project Gutenberg's own EPUBs has it.
        identifier=f"http://www.gutenberg.org/{number[1]}" if number else "",
    )


def split_title(title: str) -> tuple[str, str]:
    """Title and author from a page's title, without “The Project Gutenberg eBook of”."""
    found = _PAGE_TITLE.fullmatch(title)
    return (found[1], found[2] or "") if found else (title, "")


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
