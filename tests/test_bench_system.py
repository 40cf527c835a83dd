"""What the system is asked: sizes, memory held, files forgotten."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from squadlite.bench import system
from squadlite.bench.system import forget, peak_rss, size_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "weights").write_bytes(bytes(10_000))
    (tmp_path / "a" / "b" / "config").write_bytes(bytes(7))
    (tmp_path / "a" / "empty").write_bytes(b"")
    return tmp_path / "a"


def test_a_folder_is_as_large_as_its_files(folder: Path) -> None:
    assert size_of(folder) == 10_007
    assert size_of(folder / "weights") == 10_000


def test_forgetting_keeps_every_byte(folder: Path) -> None:
    (folder / "weights").write_bytes(b"kept" * 2500)
    assert forget(folder) in (True, False)
    assert (folder / "weights").read_bytes() == b"kept" * 2500


def test_a_system_that_cannot_forget_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    assert not forget(folder)


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="only Linux reads without waiting")
@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EAGAIN])
def test_a_file_is_forgotten_only_where_reading_it_would_have_to_wait(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def preadv(*arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "preadv", preadv)
    assert forget(folder) == (number == errno.EAGAIN)


def test_the_peak_is_that_of_this_process_alone() -> None:
    before = peak_rss()
    if before is None:
        pytest.skip("this system doesn't tell what memory a process held")
    ballast = b"x" * 100_000_000
    ours = peak_rss()
    assert ours is not None
    assert ours >= len(ballast)
    code = "from squadlite.bench.system import peak_rss; print(peak_rss())"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, encoding="utf-8"
    )
    assert 0 < int(finished.stdout) < len(ballast)


def test_without_proc_the_peak_comes_from_the_process_accounts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreadable(self: Path, **options: str) -> str:
        raise FileNotFoundError

    expected = system._max_rss()
    monkeypatch.setattr(Path, "read_text", unreadable)
    found = peak_rss()
    assert (found is None) == (expected is None)
    assert found is None or expected is None or found >= expected > 1_000_000
