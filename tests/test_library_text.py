"""Plain text books: paragraphs, verse, chapters, Project Gutenberg."""

from pathlib import Path

import pytest

from squadlite.library.book import open_book

PROSE = (
    "It was the best of roads and the worst of roads, and it went over the hills\n"
    "for the whole of nine days, with an inn at every turn, until it came down at\n"
    "last into the valley where the abbey stood among its cattle and its bells,\n"
    "and where the bridges, which the abbey had kept for three hundred years, and\n"
    "which the Duke had wished to see in the river, stood as they had ever stood.\n"
)


def read(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    path = tmp_path / "a-book.txt"
    path.write_text(text, encoding="utf-8")
    return [(chapter.title, chapter.text) for chapter in open_book(path).chapters]


def titles(tmp_path: Path, *parts: str) -> list[str]:
    return [title for title, _ in read(tmp_path, "\n\n".join(parts))]


ADVENTURES = [
    "ADVENTURE I. A SCANDAL IN BOHEMIA",
    "ADVENTURE II. THE RED-HEADED LEAGUE",
    "ADVENTURE III. A CASE OF IDENTITY",
    "ADVENTURE IV. THE BOSCOMBE VALLEY MYSTERY",
    "ADVENTURE V. THE FIVE ORANGE PIPS",
    "ADVENTURE VI. THE MAN WITH THE TWISTED LIP",
    "VII. THE ADVENTURE OF THE BLUE CARBUNCLE",
    "VIII. THE ADVENTURE OF THE SPECKLED BAND",
    "IX. THE ADVENTURE OF THE ENGINEER'S THUMB",
    "X. THE ADVENTURE OF THE NOBLE BACHELOR",
    "XI. THE ADVENTURE OF THE BERYL CORONET",
    "XII. THE ADVENTURE OF THE COPPER BEECHES",
]


@pytest.mark.parametrize("name", ["gutenberg-1661-8.txt", "gutenberg-1661-h.htm"])
def test_the_twelve_adventures(shared: Path, name: str) -> None:
    book = open_book(shared / "books" / name)
    assert [c.title.replace("’", "'") for c in book.chapters] == ADVENTURES
    assert (book.title, book.author, book.language) == (
        "The Adventures of Sherlock Holmes",
        "Arthur Conan Doyle",
        "en",
    )
    assert all("Gutenberg" not in chapter.text for chapter in book.chapters)
    assert "honourable title of" in book.chapters[0].text[-60:]
    assert book.chapters[-1].text.endswith("met with considerable success.")


def test_wrapped_lines_are_joined_and_paragraphs_kept(tmp_path: Path) -> None:
    ((_, text),) = read(tmp_path, PROSE + "\n" + PROSE)
    assert text.count("\n\n") == 1
    assert text.count("\n") == 2
    assert "over the hills for the whole" in text


def test_verse_keeps_its_lines(tmp_path: Path) -> None:
    verse = "  How doth the little crocodile\n    Improve his shining tail,\n  And pour the waters"
    ((_, text),) = read(tmp_path, f"{PROSE}\n{verse}\n\n{PROSE}")
    assert "How doth the little crocodile\nImprove his shining tail,\nAnd pour" in text


def test_lines_that_were_never_wrapped_are_paragraphs(tmp_path: Path) -> None:
    line = " ".join(PROSE.split())
    ((_, text),) = read(tmp_path, f"{line}\n{line}\n{line}\n")
    assert text == f"{line}\n\n{line}\n\n{line}"


def test_marks_of_emphasis_are_taken_off(tmp_path: Path) -> None:
    ((_, text),) = read(tmp_path, "It was _very_ cold; snake_case and __init__ stay.")
    assert text == "It was very cold; snake_case and __init__ stay."


@pytest.mark.parametrize(
    "headings",
    [
        ["CHAPTER I", "CHAPTER II", "CHAPTER III"],
        ["Chapter 1", "Chapter 2", "Chapter 3"],
        ["CHAPTER ONE", "CHAPTER TWO", "CHAPTER TWENTY-ONE"],
        ["Chapter the First", "Chapter the Second", "Chapter the Last"],
        ["CHAPTER I. The Road", "CHAPTER II. The Bridge", "CHAPTER III. The Abbey"],
        ["CHAPTER I.--THE ROAD", "CHAPTER II.--THE BRIDGE", "CHAPTER III.--THE ABBEY"],
        ["I", "II", "III"],
        ["I.", "II.", "III."],
        ["1", "2", "3"],
        ["I. THE ROAD", "II. THE BRIDGE", "III. THE ABBEY"],
        ["1. The Road", "2. The Bridge", "3. The Abbey"],
        ["Letter 1", "Letter 2", "Letter 3"],
        ["STAVE ONE: MARLEY'S GHOST", "STAVE TWO: THE FIRST", "STAVE THREE: THE SECOND"],
        ["THE ROAD", "THE BRIDGE", "THE ABBEY"],
        ["PROLOGUE", "CHAPTER I", "CHAPTER II", "EPILOGUE"],
        ["Kapitel 1", "Kapitel 2", "Kapitel 3"],
    ],
    ids=lambda headings: headings[0],
)
def test_chapters_begin_at_headings(tmp_path: Path, headings: list[str]) -> None:
    parts = [part for heading in headings for part in (heading, PROSE)]
    assert titles(tmp_path, *parts) == headings


@pytest.mark.parametrize(
    ("heading", "title"),
    [
        ("CHAPTER I\nTHE ROAD", "CHAPTER I THE ROAD"),
        ("CHAPTER I\n\nTHE ROAD", "CHAPTER I. THE ROAD"),
        ("I\n\nThe Road over the Hills", "I. The Road over the Hills"),
    ],
)
def test_a_title_may_stand_under_its_number(tmp_path: Path, heading: str, title: str) -> None:
    second = heading.replace("I\n", "II\n").replace("ROAD", "BRIDGE").replace("Road", "Bridge")
    assert titles(tmp_path, heading, PROSE, second, PROSE)[0] == title


def test_a_table_of_contents_makes_no_chapters(tmp_path: Path) -> None:
    headings = ["CHAPTER I. The Road", "CHAPTER II. The Bridge", "CHAPTER III. The Abbey"]
    parts = [part for heading in headings for part in (heading, PROSE)]
    assert titles(tmp_path, "THE SALT ROAD", "CONTENTS", *headings, *parts) == headings
    assert titles(tmp_path, "CONTENTS", "\n".join(headings), *parts) == headings


def test_the_number_of_a_part_goes_with_the_chapter_after_it(tmp_path: Path) -> None:
    found = read(tmp_path, "\n\n".join(["PART ONE", "CHAPTER I", PROSE, "CHAPTER II", PROSE]))
    assert [title for title, _ in found] == ["CHAPTER I", "CHAPTER II"]
    assert found[0][1].startswith("PART ONE\n\nCHAPTER I\n\n")


def test_prose_before_the_first_chapter_is_kept(tmp_path: Path) -> None:
    found = titles(tmp_path, "A BOOK", PROSE, "CHAPTER I", PROSE, "CHAPTER II", PROSE)
    assert found == ["a-book", "CHAPTER I", "CHAPTER II"]


def test_numbers_inside_a_chapter_do_not_cut_it(tmp_path: Path) -> None:
    parts = ["CHAPTER I", "I.", PROSE, "II.", PROSE, "CHAPTER II", PROSE]
    assert titles(tmp_path, *parts) == ["CHAPTER I", "CHAPTER II"]


def test_a_book_without_headings_is_one_chapter(tmp_path: Path) -> None:
    assert titles(tmp_path, PROSE, PROSE) == ["a-book"]


@pytest.mark.parametrize("word", ["THE", "THIS"])
@pytest.mark.parametrize("stars", ["*** ", "***"])
def test_project_gutenbergs_frame_is_set_apart(tmp_path: Path, word: str, stars: str) -> None:
    header = (
        "eBook of X\n\nTitle: The Road\n\nAuthor: A. Writer\n\n[EBook #11]\n\nLanguage: English"
    )
    path = tmp_path / "pg.txt"
    path.write_text(
        f"{header}\n\n{stars}START OF {word} PROJECT GUTENBERG EBOOK X ***\n\n"
        f"Produced by Nobody\n\n{PROSE}\n\nEnd of Project Gutenberg's X\n\n"
        f"{stars}END OF {word} PROJECT GUTENBERG EBOOK X ***\n\nSection 1. Terms of use",
        encoding="utf-8",
    )
    book = open_book(path)
    assert (book.title, book.author, book.language) == ("The Road", "A. Writer", "en")
    assert book.identifier == "http://www.gutenberg.org/11"
    assert [c.text for c in book.chapters] == [" ".join(PROSE.split())]


def test_a_title_that_is_the_files_name_is_one_line_of_text(tmp_path: Path) -> None:
    path = tmp_path / "A long\nname\x1b[31m.txt"
    path.write_text("The ferry was late.", encoding="utf-8")
    assert open_book(path).title == "A long name[31m"
