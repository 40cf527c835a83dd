"""The index: built once, kept whole, searched with any text."""

import json
import multiprocessing
import os
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_embedder import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st
from pdfs import Pdf, lines

from squadlite.cache import default_cache_dir
from squadlite.errors import BookError, BookIndexError, BrokenBookError
from squadlite.library import concordance as concordance_module
from squadlite.library import index as index_module
from squadlite.library.book import open_book
from squadlite.library.cache import load
from squadlite.library.index import BookIndex
from squadlite.library.query import Query
from squadlite.library.ranking import BM25_UNIT
from squadlite.library.structure import Book, Chapter

BOOKS = Path(__file__).parent / "books"
SALT_ROAD = BOOKS / "the-salt-road.epub"


@pytest.fixture(scope="module")
def salt_road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BookIndex]:
    with BookIndex.open(SALT_ROAD, cache_dir=tmp_path_factory.mktemp("cache")) as index:
        yield index


def refuse_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise AssertionError(f"{path} was read although it is indexed")

    monkeypatch.setattr(index_module, "open_book", fail)


def test_an_index_holds_the_book(salt_road: BookIndex) -> None:
    book = open_book(SALT_ROAD)
    assert (salt_road.title, salt_road.author) == (book.title, book.author)
    assert salt_road.language == book.language
    assert len(salt_road.chapters) == len(book.chapters)
    for info, chapter in zip(salt_road.chapters, book.chapters, strict=True):
        assert (info.index, info.title, info.href) == (chapter.index, chapter.title, chapter.href)
        assert salt_road.chapter(info.index) == chapter


def test_a_chapter_that_is_not_there(salt_road: BookIndex) -> None:
    for number in (-1, 6):
        with pytest.raises(IndexError, match="chapters 0 to 5"):
            salt_road.chapter(number)


def questions() -> list[dict[str, object]]:
    lines = (BOOKS / "the-salt-road.jsonl").read_text(encoding="utf-8").splitlines()
    return [question for question in map(json.loads, lines) if question["answers"]]


@pytest.mark.parametrize("question", questions(), ids=lambda question: question["id"])
def test_the_evidence_is_among_the_first_five(
    salt_road: BookIndex, question: dict[str, str]
) -> None:
    found = salt_road.search(Query(question["question"]), 5)
    assert any(question["evidence"] in passage.text for passage in found)


@given(question=st.text(), limit=st.integers(1, 30))
@settings(deadline=None)
def test_any_text_can_be_searched(salt_road: BookIndex, question: str, limit: int) -> None:
    found = salt_road.search(Query(question), limit)
    assert len(found) <= limit
    for passage in found:
        text = salt_road.chapter(passage.chapter_index).text
        assert text[passage.start : passage.end] == passage.text
    scores = [passage.score for passage in found]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    "question",
    ['"', "salt AND", "NOT salt", "salt OR (mule", "text:salt", "sal*", "^salt", "a - -b", "NEAR("],
)  # fmt: skip
def test_operators_are_only_words(salt_road: BookIndex, question: str) -> None:
    salt_road.search(Query(question), 5)


@pytest.mark.parametrize("question", ["who was it", "What is that?", "a"])
def test_a_question_of_stop_words_finds_something(salt_road: BookIndex, question: str) -> None:
    assert salt_road.search(Query(question), 5)


def test_a_question_without_words_finds_nothing(salt_road: BookIndex) -> None:
    assert salt_road.search(Query("?!"), 5) == salt_road.search(Query(""), 5) == []


def test_curly_and_straight_apostrophes_are_the_same(salt_road: BookIndex) -> None:
    straight = salt_road.search(Query("Who was Anselm's master?"), 5)
    assert straight == salt_road.search(Query("Who was Anselm’s master?"), 5)


def test_accents_and_endings_make_no_difference(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("Zoë carried crème brûlées to the café.", encoding="utf-8")
    with BookIndex.open(path, cache_dir=tmp_path / "cache") as index:
        assert index.search(Query("Did Zoe carry a creme brulee?"), 1)
        assert index.search(Query("CAFÉS"), 1)
        assert not index.search(Query("tea"), 1)


def test_related_words_find_what_the_question_does_not(salt_road: BookIndex) -> None:
    assert not salt_road.search(Query("violin"), 5)
    found = salt_road.search(Query("violin", related={"fiddle": 0.5}), 5)
    assert "fiddle" in found[0].text


def test_a_limit_below_one_is_refused(salt_road: BookIndex) -> None:
    with pytest.raises(ValueError, match="limit"):
        salt_road.search(Query("salt"), 0)


def test_the_second_opening_does_not_read_the_book(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[int, int]] = []
    BookIndex.open(SALT_ROAD, cache_dir=tmp_path, progress=lambda *step: steps.append(step)).close()
    assert steps[-1][0] == steps[-1][1] > 0
    assert steps == sorted(steps)
    refuse_reading(monkeypatch)
    with BookIndex.open(SALT_ROAD, cache_dir=tmp_path) as index:
        assert index.search(Query("salt"), 1)


def test_another_content_is_another_index(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    for word in ("salt", "pepper"):
        path.write_text(f"There was nothing but {word} in it.")
        with BookIndex.open(path, cache_dir=tmp_path / "cache") as index:
            assert word in index.search(Query("What was in it?"), 1)[0].text
    assert len(list((tmp_path / "cache").iterdir())) == 2


def the_file(cache: Path) -> Path:
    (file,) = cache.iterdir()
    return file


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign", "text"])
def test_a_damaged_index_is_built_again(tmp_path: Path, damage: str) -> None:
    BookIndex.open(SALT_ROAD, cache_dir=tmp_path).close()
    file = the_file(tmp_path)
    whole = file.read_bytes()
    if damage == "foreign":
        file.unlink()
        foreign = sqlite3.connect(file)
        foreign.execute("CREATE TABLE book (title TEXT)")
        foreign.close()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        contents = {"cut": whole[:middle], "flipped": flipped, "empty": b"", "text": b"salt" * 99}
        file.write_bytes(contents[damage])
    with BookIndex.open(SALT_ROAD, cache_dir=tmp_path) as index:
        assert index.search(Query("salt"), 1)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("name", ["cache #1", "50%?", "a&mode=rwc", "書庫"])
def test_the_cache_may_have_any_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    BookIndex.open(SALT_ROAD, cache_dir=tmp_path / name).close()
    refuse_reading(monkeypatch)
    with BookIndex.open(SALT_ROAD, cache_dir=tmp_path / name) as index:
        assert index.search(Query("salt"), 1)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_open_index_lives_on_when_its_file_is_replaced(tmp_path: Path) -> None:
    BookIndex.open(SALT_ROAD, cache_dir=tmp_path).close()
    file = the_file(tmp_path)
    with BookIndex.open(SALT_ROAD, cache_dir=tmp_path) as index:
        other = tmp_path / "other"
        other.write_bytes(b"another file")
        other.replace(file)
        assert index.search(Query("salt"), 1)


@given(
    chapters=st.lists(st.text("ab. \n\u2003é", min_size=1, max_size=3000), min_size=1, max_size=3)
)
@settings(deadline=None, max_examples=30)
def test_chapters_and_passages_keep_every_character(chapters: list[str]) -> None:
    texts = [text.replace("b", "salt road ") for text in chapters]
    book = Book("", "", "", tuple(Chapter(n, "", "", text) for n, text in enumerate(texts)))
    with BookIndex.build(book) as index:
        assert [index.chapter(number).text for number in range(len(texts))] == [
            text if text.strip() else "" for text in texts
        ]
        for passage in index.search(Query("salt"), 200):
            text = texts[passage.chapter_index]
            assert text[passage.start : passage.end] == passage.text


def test_where_the_cache_cannot_be_written_the_book_is_answered_all_the_same(
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with BookIndex.open(SALT_ROAD, cache_dir=blocked / "cache") as index:
        assert index.search(Query("salt"), 1)


def test_an_index_knows_on_which_page_a_passage_stands(tmp_path: Path) -> None:
    pages = [
        lines(textwrap.wrap(f"This is page {number}. " + f"{word} salt and more. " * 20, 70))
        for number, word in enumerate(("white", "grey", "black"), start=1)
    ]
    made = Pdf(pages, catalog="/PageLabels<</Nums[0<</S/r/St 9>>1<</S/D/St 1>>]>>")
    path = made.write(tmp_path / "book.pdf")
    with BookIndex.open(path, cache_dir=tmp_path) as index:
        chapter = index.chapter(0)
        assert chapter == open_book(path).chapters[0]
        assert [page.label for page in chapter.pages] == ["ix", "1", "2"]
        for label, word in (("ix", "white"), ("1", "grey"), ("2", "black")):
            passage = index.search(Query(word), 1)[0]
            assert passage.page_at(passage.text.index(f"{word} salt")) == label
    with BookIndex.open(SALT_ROAD, cache_dir=tmp_path) as index:
        (passage,) = index.search(Query("salt"), 1)
        assert passage.pages == ()
        assert passage.page_at(0) is None


def test_vectors_are_made_once_with_progress_and_kept_in_the_index(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with BookIndex.open(SALT_ROAD, cache_dir=tmp_path) as index:
        plain = the_file(tmp_path).stat().st_size
        made = index.add_vectors(FakeEmbedder(), progress=lambda *step: told.append(step))
        expected = index.search(Query("salt", embedder=FakeEmbedder()), 5)
        for number in range(len(index.chapters)):
            assert index.chapter(number) == open_book(SALT_ROAD).chapters[number]
    number = len(made.codes)
    assert told == [(number, number)]
    assert plain < the_file(tmp_path).stat().st_size < 1.5 * plain
    again = FakeEmbedder()
    with BookIndex.open(SALT_ROAD, cache_dir=tmp_path) as index:
        assert index.search(Query("salt", embedder=again), 5) == expected
        np.testing.assert_array_equal(index.add_vectors(again).codes, made.codes)
    assert again.embedded == ["salt"]


def test_vectors_are_those_of_the_passages(salt_road: BookIndex) -> None:
    embedder = FakeEmbedder()
    salt_road.add_vectors(embedder)
    found = salt_road.search(Query("salt", embedder=embedder), 1000)
    by_place = sorted(found, key=lambda passage: (passage.chapter_index, passage.start))
    assert [passage.text for passage in by_place] == embedder.embedded[:-1]
    (asked,) = FakeEmbedder().embed(["salt"])
    for passage in found:
        exact = float(FakeEmbedder().embed([passage.text])[0] @ asked)
        assert passage.cosine == pytest.approx(exact, abs=0.02)


def test_another_models_vectors_take_the_place_of_the_first_ones(tmp_path: Path) -> None:
    with BookIndex.open(SALT_ROAD, cache_dir=tmp_path) as index:
        first = index.add_vectors(FakeEmbedder("first"))
        index.search(Query("salt", embedder=FakeEmbedder("second")), 1)
    with BookIndex.open(SALT_ROAD, cache_dir=tmp_path) as index:
        kept = FakeEmbedder("second")
        assert index.add_vectors(kept).model == "second"
        assert not kept.embedded
        made_again = FakeEmbedder("first")
        np.testing.assert_array_equal(index.add_vectors(made_again).codes, first.codes)
        assert made_again.embedded


def test_an_index_built_anew_has_the_same_bytes_with_vectors(tmp_path: Path) -> None:
    for cache in ("one", "other"):
        with BookIndex.open(SALT_ROAD, cache_dir=tmp_path / cache) as index:
            index.add_vectors(FakeEmbedder())
    assert the_file(tmp_path / "one").read_bytes() == the_file(tmp_path / "other").read_bytes()


def test_a_question_without_a_known_word_finds_by_vectors(salt_road: BookIndex) -> None:
    assert salt_road.search(Query("zzqq"), 3) == []
    found = salt_road.search(Query("zzqq", embedder=FakeEmbedder()), 3)
    assert len(found) == 3
    assert all(passage.bm25 == 0 and passage.score == passage.cosine for passage in found)


def test_without_vectors_the_score_is_that_of_words(salt_road: BookIndex) -> None:
    for passage in salt_road.search(Query("salt"), 5):
        assert (passage.score, passage.cosine) == (passage.bm25, None)
    joined = salt_road.search(Query("salt", embedder=FakeEmbedder(weight=0)), 5)
    assert [passage.bm25 for passage in joined] == [
        passage.bm25 for passage in salt_road.search(Query("salt"), 5)
    ]
    assert joined[0].score == joined[0].bm25 / BM25_UNIT


def test_where_the_cache_cannot_be_written_vectors_live_as_long_as_the_index(
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    embedder = FakeEmbedder()
    with BookIndex.open(SALT_ROAD, cache_dir=blocked / "cache") as index:
        for question in ("salt", "mule"):
            assert index.search(Query(question, embedder=embedder), 1)
    assert embedder.embedded[-2:] == ["salt", "mule"]
    assert len(set(embedder.embedded)) == len(embedder.embedded)


def test_vectors_cut_short_leave_the_index_as_it_was(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with BookIndex.open(SALT_ROAD, cache_dir=tmp_path) as index:
        before = the_file(tmp_path).read_bytes()
        with pytest.raises(KeyboardInterrupt):
            index.add_vectors(FakeEmbedder(), progress=interrupt)
        assert the_file(tmp_path).read_bytes() == before
        assert index.search(Query("salt", embedder=FakeEmbedder()), 1)


def test_what_killed_processes_left_is_removed_in_time(tmp_path: Path) -> None:
    old, new = tmp_path / ".a.db.x.part", tmp_path / ".b.db.y.part"
    old.write_text("")
    new.write_text("")
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    BookIndex.open(SALT_ROAD, cache_dir=tmp_path).close()
    assert (old.exists(), new.exists()) == (False, True)


def open_and_search(cache: Path, results: "multiprocessing.Queue[str]") -> None:
    with BookIndex.open(SALT_ROAD, cache_dir=cache) as index:
        results.put(index.search(Query("Who was Anselm's master?"), 1)[0].text)


def test_processes_that_build_at_once_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    builders = [context.Process(target=open_and_search, args=(tmp_path, results)) for _ in range(4)]
    for builder in builders:
        builder.start()
    answers = {results.get(timeout=60) for _ in builders}
    for builder in builders:
        builder.join(60)
    assert [builder.exitcode for builder in builders] == [0] * 4
    assert len(answers) == 1
    assert re.fullmatch(r"[0-9a-f]{64}-\d+\.db", the_file(tmp_path).name)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_killed_builder_leaves_no_broken_index(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from squadlite.library.index import BookIndex
from squadlite.library.structure import Book, Chapter
        print("ready", flush=True)
        while True:
            BookIndex.open(sys.argv[1], cache_dir=sys.argv[2]).close()
            for file in Path(sys.argv[2]).glob("*.db"):
                file.unlink()
        """
    )
    for delay in (0.0, 0.01, 0.02, 0.03, 0.05, 0.08):
        builder = subprocess.Popen(
            [sys.executable, "-c", program, str(SALT_ROAD), str(tmp_path)],
            stdout=subprocess.PIPE,
        )
        assert builder.stdout is not None
        with builder.stdout:
            builder.stdout.readline()
            time.sleep(delay)
            builder.send_signal(signal.SIGKILL)
            builder.wait()
        for file in tmp_path.glob("*.db"):
            connection = load(file)
            assert connection is not None
            connection.close()
        with BookIndex.open(SALT_ROAD, cache_dir=tmp_path) as index:
            assert index.search(Query("salt"), 1)


def test_the_cache_is_where_the_user_or_the_platform_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQUADLITE_CACHE", str(tmp_path / "chosen"))
    assert default_cache_dir() == tmp_path / "chosen"
    monkeypatch.delenv("SQUADLITE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert default_cache_dir() == tmp_path / "xdg" / "squadlite"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_cache_dir() == Path.home() / "Library" / "Caches" / "squadlite"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert default_cache_dir() == tmp_path / "local" / "squadlite"


def test_missing_empty_and_unfit_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BookError, match="No such file"):
        BookIndex.open(tmp_path / "gone.epub", cache_dir=tmp_path)
    with pytest.raises(BookError, match="a folder"):
        BookIndex.open(tmp_path, cache_dir=tmp_path)
    (tmp_path / "empty.txt").touch()
    with pytest.raises(BrokenBookError, match="an empty file"):
        BookIndex.open(tmp_path / "empty.txt", cache_dir=tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_pipe_is_no_books_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BookError, match="a pipe or a device, expected a book's file"):
        BookIndex.open(tmp_path / "pipe")


def test_a_sqlite_without_full_text_search_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concordance_module, "_SCHEMA", "CREATE VIRTUAL TABLE x USING fts99(text)")
    with pytest.raises(BookIndexError, match="no such module"):
        BookIndex.open(SALT_ROAD, cache_dir=tmp_path)
