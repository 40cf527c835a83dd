"""The load on a server: who is served, refused, failed."""

import os
import random
import sys
from pathlib import Path

import pytest
from servers import BOOK, served, tiny_reader

from benchmarks.serve import Outcomes, burst, memory, small_book
from squadlite.library.library import Library
from squadlite.server import questions as questions_module


def test_every_request_of_a_burst_has_its_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ferry.md"
    path.write_text(BOOK, encoding="utf-8")
    reader = tiny_reader()
    with Library(tmp_path / "library.db") as library:
        library.add([path])
        library.add_vectors(reader.embedder)  # type: ignore[arg-type]
    monkeypatch.setattr(questions_module, "MAX_WAITING", 2)
    asked, sent, generator = Outcomes(), Outcomes(), random.Random(1)
    with served(tmp_path, reader) as server:
        address = server.socket.getsockname()[:2]
        burst(address, ["Who was paid?"] * 12, [small_book(generator)] * 2, asked, sent)
        burst(address, ["", "x" * 2000], [""], asked, sent)
    assert asked.counts["served"] >= 1
    assert asked.counts["served"] + asked.counts["refused"] == 12
    assert asked.counts["failed"] == 2
    assert all(error.startswith("400 ") for error in asked.errors)
    assert len(asked.whole) == len(asked.first) == asked.counts["served"]
    assert sent.counts.total() == 3
    assert sent.row()["failed"] >= 1
    with Library(tmp_path / "library.db") as library:
        assert len(library.books()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells it so")
def test_memory_is_in_millions_of_bytes() -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    expected = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    assert memory(os.getpid()) == pytest.approx(expected, rel=0.01)
