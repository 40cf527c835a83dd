"""Reading: lazy, checked, and clear about what can't be read."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from sqz_files import GOLDEN, build, dump, exact_tensors, tiny_parts, write_tiny

from squadlite.container import Linear, Raw, Uniform, open_sqz, write_sqz
from squadlite.container.layout import MAX_HEADER_NODES
from squadlite.errors import (
    DigestError,
    FormatError,
    PreambleError,
    TensorError,
    TruncatedFileError,
)

ROOT = Path(__file__).parent.parent


def damaged(path, position):
    content = bytearray((GOLDEN / "tiny.sqz").read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    return path


def test_damage_to_one_tensor_is_found_by_reading_it_and_no_other(tmp_path):
    with open_sqz(damaged(tmp_path / "x", 128)) as file:
        assert file.read("b").tolist() == [1, 2]
        with pytest.raises(DigestError, match=r"tensor 'a.weight': .* bytes 128..139"):
            file.read("a.weight")
        with pytest.raises(DigestError, match="tensor 'a"):
            file.verify()


def test_damage_between_the_tensors_is_found_by_verifying(tmp_path):
    with open_sqz(damaged(tmp_path / "x", 150)) as file:
        file.read("a.weight")
        with pytest.raises(TensorError, match=r"padding: bytes 139..192"):
            file.verify()


def test_damage_to_the_file_digest_is_found_by_verifying(tmp_path):
    with (
        open_sqz(damaged(tmp_path / "x", -1)) as file,
        pytest.raises(DigestError, match="last 32"),
    ):
        file.verify()


def test_errors_of_opening_start_with_the_path(tmp_path):
    path = damaged(tmp_path / "x", 300)
    with pytest.raises(DigestError) as caught:
        open_sqz(path)
    assert str(caught.value).startswith(f"{path}: header: digest")


def test_a_tensor_that_is_not_there(tmp_path):
    with open_sqz(GOLDEN / "tiny.sqz") as file, pytest.raises(TensorError, match="among the 2"):
        file.read("c")


def test_what_was_read_outlives_the_file_and_belongs_to_the_reader():
    with open_sqz(GOLDEN / "codecs.sqz") as file:
        arrays = [file.read(name) for name in file.tensors]
    for array, (_, values, _) in zip(arrays, exact_tensors(), strict=True):
        assert array.flags.writeable
        np.testing.assert_array_equal(array, values)


def test_reading_after_closing_is_a_clear_mistake():
    file = open_sqz(GOLDEN / "tiny.sqz")
    assert repr(file).endswith("2 tensors>")
    file.close()
    file.close()
    assert repr(file).endswith("closed>")
    for use in (file.verify, lambda: file.read("b")):
        with pytest.raises(ValueError, match="after it was closed"):
            use()


def test_an_error_while_reading_does_not_keep_the_file_open(tmp_path):
    with pytest.raises(DigestError), open_sqz(damaged(tmp_path / "x", 128)) as file:
        file.read("a.weight")
    with pytest.raises(ValueError, match="closed"):
        file.read("b")


def test_a_file_cut_short_while_it_is_open(tmp_path):
    write_tiny(tmp_path / "x")
    with open_sqz(tmp_path / "x") as file:
        os.truncate(tmp_path / "x", 100)
        with pytest.raises(TruncatedFileError, match="cut to 100 bytes"):
            file.read("b")


def test_a_file_replaced_while_it_is_open_stays_the_old_one(tmp_path):
    write_tiny(tmp_path / "x")
    with open_sqz(tmp_path / "x") as file:
        write_sqz(tmp_path / "x", model={}, tokenizer={}, metadata={}, tensors=[])
        file.verify()
        assert file.read("b").tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", TruncatedFileError, "file is empty"),
        (b"\x89SQ", TruncatedFileError, "ends after 3 bytes"),
        (b"\x89SQZ\r\n\x1a\n\x01\0", TruncatedFileError, "ends after 10 bytes"),
        (b"PK\3\4" + bytes(200), PreambleError, "not a .sqz file"),
        (b"\x89SQZ\n\x1a\n" + bytes(200), PreambleError, "copied as text"),
        (b"\x89SQZ\r\r\n\x1a\r\n" + bytes(200), PreambleError, "copied as text"),
        (b"\tSQZ\r\n\x1a\n" + bytes(200), PreambleError, "copied as text"),
        ("\x89SQZ\r\n\x1a\n".encode() + bytes(200), PreambleError, "copied as text"),
        ("\ufffdSQZ\r\n\x1a\n".encode() + bytes(200), PreambleError, "copied as text"),
    ],
)
def test_files_of_other_kinds(content, error, message, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(error, match=message):
        open_sqz(tmp_path / "x")


def test_folders_and_missing_files(tmp_path):
    with pytest.raises(PreambleError, match="not a regular file"):
        open_sqz(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_sqz(tmp_path / "missing")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_make_us_wait(tmp_path):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(PreambleError, match="not a regular file"):
        open_sqz(tmp_path / "x")


def test_opening_touches_no_tensor(tmp_path):
    # The data is a hole in the file: reading it would take memory, hashing it would take seconds.
    header, _ = tiny_parts()
    size = 2**31 - 1
    header["tensors"] = [header["tensors"][0] | {"shape": [size], "offset": 128, "n_bytes": size}]
    header["tensors"][0]["codec"] = {"name": "raw", "dtype": "u8"}
    content = build(header, offset=128 + 2**31, total=128 + 2**31 + len(dump(header)) + 32)
    with (tmp_path / "x").open("wb") as file:
        file.write(content[:128])
        file.seek(128 + 2**31)
        file.write(content[128:])
    tracemalloc.start()
    with open_sqz(tmp_path / "x") as opened:
        assert opened.tensors["a.weight"].n_bytes == size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_the_largest_header_costs_no_more_than_a_few_megabytes(tmp_path):
    for filler in ("[]", "{}", '"é"', "0.5", "123456789"):
        items = "[" + ",".join([filler] * (MAX_HEADER_NODES // 2 - 20)) + "]"
        objects = b'{"metadata":{"x":%s},"model":{},"tensors":[],"tokenizer":{}}' % items.encode()
        (tmp_path / "x").write_bytes(build(objects))
        tracemalloc.start()
        open_sqz(tmp_path / "x").close()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 12 * 2**20


def test_reading_takes_the_stored_and_the_decoded_bytes_and_little_more(tmp_path):
    values = np.random.default_rng(0).normal(size=2**21).astype(np.float32)
    tensors = [
        ("w", values, Linear(8)),
        ("r", values, Raw("f32")),
        ("c", values, Linear(10).compressed()),
        ("u", values, Uniform(0.1)),
    ]
    write_sqz(tmp_path / "x", model={}, tokenizer={}, metadata={}, tensors=tensors)
    with open_sqz(tmp_path / "x") as file:
        for name, info in file.tensors.items():
            tracemalloc.start()
            file.read(name)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            # Coded streams become one byte a value first.
            symbols = values.size if info.codec.version == (2, 0) else 0
            assert peak < info.n_bytes + 4 * values.size + symbols + 4 * 2**20


def test_the_container_needs_neither_torch_nor_tokenizers():
    script = """
import sys
from squadlite.container import open_sqz
open_sqz(sys.argv[1]).verify()
heavy = {"torch", "tokenizers", "lxml", "rich", "click"} & sys.modules.keys()
sys.exit(str(heavy) if heavy else 0)
"""
    subprocess.run([sys.executable, "-c", script, GOLDEN / "tiny.sqz"], cwd=ROOT, check=True)


def test_format_errors_have_one_root():
    for error in (DigestError, PreambleError, TensorError, TruncatedFileError):
        assert issubclass(error, FormatError)
