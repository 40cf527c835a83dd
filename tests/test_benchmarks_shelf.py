"""The books that a shelf is made of for measuring."""

import json
from itertools import islice
from pathlib import Path

from benchmarks.shelf import PIECE_WORDS, make_books, make_others, mixed, pieces
from squadlite.library.book import open_book
from squadlite.library.structure import Chapter


def chapter(index: int, words: int) -> Chapter:
    paragraphs = (f"Word{index} " * 99 + "end." for _ in range(words // 100))
    return Chapter(index, f"Chapter {index}", "", "\n\n".join(paragraphs))


def test_pieces_hold_all_paragraphs_of_the_chapters() -> None:
    chapters = [chapter(0, 5000), chapter(1, 300)]
    cut = pieces(chapters)
    lengths = [len(piece.text.split()) for piece in cut]
    assert lengths == [PIECE_WORDS, PIECE_WORDS, 1000, 300]
    assert "\n\n".join(piece.text for piece in cut[:3]) == chapters[0].text


def test_every_piece_comes_once_in_each_round() -> None:
    source = [chapter(number, 200) for number in range(9)]
    endless = mixed(source)
    rounds = [list(islice(endless, 9)) for _ in range(2)]
    assert all(sorted(of_round, key=source.index) == source for of_round in rounds)
    assert rounds[0] != rounds[1]


def test_books_are_readable_and_the_same_each_time(tmp_path: Path) -> None:
    source = pieces([chapter(number, 2500) for number in range(5)])
    for folder in ("one", "two"):
        make_books(tmp_path / folder, source, 3, 3000)
    for number in range(3):
        name = f"book-{number:04}.epub"
        book = open_book(tmp_path / "one" / name)
        assert sum(len(chapter.text.split()) for chapter in book.chapters) >= 3000
        assert book == open_book(tmp_path / "two" / name)


def test_other_books_are_parts_of_those_that_passages_are_from(tmp_path: Path) -> None:
    texts = {
        title: [f"{title} said {number}. " * 20 for number in range(8)] for title in ("a/x", "a/y")
    }
    data = {
        "version": "v2.0",
        "data": [
            {"title": title, "paragraphs": [
                {"context": text, "qas": [
                    {"id": f"{title}{number}", "question": "Who?", "answers": [],
                     "is_impossible": True}
                ]} for number, text in enumerate(of_title)
            ]} for title, of_title in texts.items()
        ],
    }  # fmt: skip
    path = tmp_path / "data.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    make_others(tmp_path / "others", path, 5)
    made = sorted(file.name for file in (tmp_path / "others").iterdir())
    assert made == ["x-1.txt", "x-2.txt", "x-3.txt", "y-1.txt", "y-2.txt"]
    together = "".join(
        (tmp_path / "others" / name).read_text(encoding="utf-8") for name in made[:3]
    )
    assert all(text.strip() in together for text in texts["a/x"])
    # Fewer than there are books to take parts of.
    make_others(tmp_path / "one", path, 1)
    assert [file.name for file in (tmp_path / "one").iterdir()] == ["x-1.txt"]
