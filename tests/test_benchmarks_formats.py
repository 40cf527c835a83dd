"""Books compared across formats."""

from pathlib import Path

from mobis import contents, write_mobi

from benchmarks.formats import Reading, same_titles, same_words, summarize

SAMPLE = Path(__file__).parent / "books" / "the-salt-road.epub"


def test_the_same_words_are_counted_in_runs() -> None:
    words = ["the", "salt", "road", "goes", "over", "the", "hills"]
    assert same_words(words, words) == 1.0
    assert same_words(words, words[:-1]) == 3 / 4
    assert same_words(words, reversed_words := words[::-1]) == 0.0
    assert same_words(reversed_words, []) == 0.0


def test_titles_count_in_order() -> None:
    assert same_titles(["I", "II", "III"], ["Front", "I", "III", "II"]) == 2


def test_a_book_in_another_format_is_measured_beside_the_epub(tmp_path: Path) -> None:
    epub = Reading.of(SAMPLE, [], None)
    pages = [
        b"<mbp:pagebreak/>" + "".join(f"<p>{p}</p>" for p in chapter.text.split("\n\n")).encode()
        for chapter in epub.book.chapters
    ]
    places = [sum(map(len, pages[:number])) for number in range(len(pages))]
    table = contents(*((title, place, 0) for title, place in zip(epub.titles, places, strict=True)))
    path = write_mobi(tmp_path / "the-salt-road.mobi", b"".join(pages), table=table)
    row = summarize(".mobi", [(epub, Reading.of(path, [], None))])
    assert row["words"] == len(epub.words)
    assert (row["same words %"], row["same titles %"], row["chapters"]) == (100.0, 100.0, 6)
    assert (row["same answers %"], row["F1"]) == (None, None)
