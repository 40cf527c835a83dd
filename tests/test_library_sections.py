"""Books of one file: whatever their headings, no prose is lost and nothing is told twice."""

from hypothesis import given
from hypothesis import strategies as st

from squadlite.library.sections import split_chapters
from squadlite.library.structure import Block

PROSE = "It was a long road, and it went on for {} days and {} nights over the hills" + " on" * 60
BLOCKS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 999)).map(
        lambda drawn: (
            Block(f"Heading {drawn[1]}", drawn[0])
            if drawn[0]
            else Block(PROSE.format(drawn[1], drawn[1]) + ".")
        )
    ),
    min_size=1,
    max_size=20,
)


@given(BLOCKS)
def test_every_paragraph_is_in_one_chapter_in_order(blocks: list[Block]) -> None:
    chapters = split_chapters(blocks, book_title="The Road")
    told = [text for chapter in chapters for text in chapter.text.split("\n\n")]
    paragraphs = [block.text for block in blocks if not block.level]
    # Headings with nothing under them may go: before the first chapter they are a title page.
    assert [text for text in told if not text.startswith("Heading")] == paragraphs
    assert len(told) <= len(blocks)
    assert [chapter.index for chapter in chapters] == list(range(len(chapters)))
    assert all(chapter.title and chapter.text for chapter in chapters)
