"""Files of the cache: whole, or as good as not there."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.cache import is_usable, map_cached, read_cached, write_cached

BLOCK = 1 << 15

# Shorter than a block, whole blocks, and a rest behind them.
SIZES = st.one_of(st.integers(0, 40), st.integers(2 * BLOCK - 9, 2 * BLOCK + 9))


def _content(size: int, seed: int) -> bytes:
    pattern = bytes((seed + 7 * i) % 251 for i in range(1009))
    return (pattern * (size // len(pattern) + 1))[:size]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "kept.bin"


@given(size=SIZES, seed=st.integers(0, 250))
def test_what_was_kept_comes_back(kept: Path, size: int, seed: int) -> None:
    content = _content(size, seed)
    assert write_cached(kept, content)
    assert is_usable(kept)
    assert read_cached(kept) == content
    mapped = map_cached(kept, size)
    assert mapped is not None
    assert mapped[:size] == content


@given(size=SIZES, seed=st.integers(0, 250), data=st.data())
def test_no_byte_changes_unnoticed(kept: Path, size: int, seed: int, data: st.DataObject) -> None:
    write_cached(kept, _content(size, seed))
    whole = bytearray(kept.read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    kept.write_bytes(whole)
    assert not is_usable(kept)
    assert read_cached(kept) is None
    assert map_cached(kept, size) is None


@given(seed=st.integers(0, 250), first=st.integers(0, 2), second=st.integers(0, 2))
def test_blocks_in_another_order_are_noticed(
    kept: Path, seed: int, first: int, second: int
) -> None:
    content = _content(3 * BLOCK, seed)
    write_cached(kept, content)
    blocks = [content[i * BLOCK : (i + 1) * BLOCK] for i in range(3)]
    blocks[first], blocks[second] = blocks[second], blocks[first]
    kept.write_bytes(b"".join(blocks) + kept.read_bytes()[3 * BLOCK :])
    assert is_usable(kept) == (first == second)


@given(size=SIZES, lost=st.integers(1, 2 * BLOCK))
def test_a_file_that_ends_early_is_not_whole(kept: Path, size: int, lost: int) -> None:
    write_cached(kept, _content(size, 3))
    kept.write_bytes(kept.read_bytes()[:-lost])
    assert not is_usable(kept)
    assert read_cached(kept) is None
    assert map_cached(kept, size) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_what_was_kept_comes_back_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert write_cached(tmp_path / "kept.bin", b"content")
    finally:
        os.umask(before)
    assert read_cached(tmp_path / "kept.bin") == b"content"
    assert map_cached(tmp_path / "kept.bin", 7) is not None


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make links")
def test_what_another_process_finishes_meanwhile_keeps_nothing_from_the_cache(
    tmp_path: Path,
) -> None:
    # As one that is gone between being listed and being looked at.
    (tmp_path / ".other.bin.part").symlink_to(tmp_path / "gone")
    assert write_cached(tmp_path / "kept.bin", b"content")
    assert read_cached(tmp_path / "kept.bin") == b"content"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_what_others_could_have_written_is_not_used(tmp_path: Path) -> None:
    kept = tmp_path / "kept.bin"
    write_cached(kept, b"content")
    kept.chmod(0o666)
    assert not is_usable(kept)
    assert read_cached(kept) is None
    assert map_cached(kept, len(b"content")) is None
