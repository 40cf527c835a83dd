"""Damaged copies of books: made again from their number, and told when something goes wrong."""

import random
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from benchmarks import fuzz_books
from benchmarks.fuzz_books import damage, try_copies
from squadlite.library.archive import DAMAGE
from squadlite.library.book import open_book

SAMPLE = Path(__file__).parent / "books" / "the-salt-road.epub"


def test_the_same_number_gives_the_same_damage() -> None:
    data = SAMPLE.read_bytes()
    copies = [damage(data, random.Random(f"0 {number}")) for number in range(30)]
    assert copies == [damage(data, random.Random(f"0 {number}")) for number in range(30)]
    assert len(set(copies)) > 25
    assert damage(b"", random.Random(1)) is not None


def test_members_of_archives_are_damaged_within_whole_archives() -> None:
    data = SAMPLE.read_bytes()
    whole = 0
    for number in range(20):
        try:
            with zipfile.ZipFile(BytesIO(damage(data, random.Random(number)))) as archive:
                whole += archive.testzip() is None
        except DAMAGE:
            continue
    assert whole >= 5


def test_what_is_not_ours_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = try_copies(SAMPLE, 0, range(20))
    assert outcome.faults == []
    assert outcome.read + outcome.refused.total() == outcome.tried == 20

    def fail_at_times(path: Path) -> object:
        if path.stat().st_size % 2:
            raise KeyError("a bug")
        return open_book(SAMPLE)

    monkeypatch.setattr(fuzz_books, "open_book", fail_at_times)
    outcome = try_copies(SAMPLE, 0, range(20))
    assert outcome.read + len(outcome.faults) == 20
    assert all("a bug" in fault for fault in outcome.faults)
    assert outcome.faults
