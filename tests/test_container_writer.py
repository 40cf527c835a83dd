"""Writing: deterministic, streamed, refused with the tensor's name, and all or nothing."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sqz_files import write_codecs, write_coded, write_tiny

from squadlite.container import (
    Linear,
    Rademacher,
    Raw,
    TensorInfo,
    copy_sqz,
    open_sqz,
    write_sqz,
)
from squadlite.errors import CodecError, HeaderError, TensorError

ROOT = Path(__file__).parent.parent
ZERO = np.zeros(3, np.float32)


def write(path, tensors, **objects):
    parts = {"model": {}, "tokenizer": {}, "metadata": {}} | objects
    return write_sqz(path, tensors=tensors, **parts)


def test_objects_and_tensors_come_back_in_order(tmp_path):
    weights = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    model = {"layer_map": [0, 1, 0], "layer_norm_eps": 1e-12}
    infos = write(
        tmp_path / "x.sqz",
        [("z", weights, Raw("f32")), ("a.b", weights, Linear(16)), ("m", weights[:0], Linear(3))],
        model=model,
        tokenizer={"type": "wordpiece", "strip_accents": None},
        metadata={"title": "naïve 🙂", "scores": {"f1": 70.25}},
    )
    with open_sqz(str(tmp_path / "x.sqz")) as file:
        file.verify()
        assert list(file.tensors.values()) == infos
        assert list(file.tensors) == ["z", "a.b", "m"]
        assert file.model == model
        assert file.tokenizer == {"type": "wordpiece", "strip_accents": None}
        assert file.metadata == {"title": "naïve 🙂", "scores": {"f1": 70.25}}
        np.testing.assert_array_equal(file.read("z"), weights)
        assert file.read("m").shape == (0, 7)
    assert all(info.offset % 64 == 0 for info in infos)


def test_a_file_without_tensors(tmp_path):
    assert write(tmp_path / "x", []) == []
    with open_sqz(tmp_path / "x") as file:
        file.verify()
        assert file.tensors == {}


def test_order_of_keys_and_layout_in_memory_leave_no_trace(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    variants = [
        ({"a": 1, "b": 2}, values),
        ({"b": 2, "a": 1}, np.asfortranarray(values)),
        ({"b": 2, "a": 1}, values.astype(">f4")),
        ({"b": 2, "a": 1}, values.astype(np.float64)),
    ]
    contents = set()
    for metadata, array in variants:
        write(
            tmp_path / "x", [("w", array, Linear(5)), ("r", array, Raw("f32"))], metadata=metadata
        )
        contents.add((tmp_path / "x").read_bytes())
    assert len(contents) == 1


def test_tensors_are_taken_one_by_one(tmp_path):
    events = []

    def tensors():
        for name in ("a", "b"):
            events.append(f"make {name}")
            yield name, ZERO, Raw("f32")

    def progress(info: TensorInfo):
        events.append(f"wrote {info.name}, {info.n_bytes} bytes")

    write_sqz(
        tmp_path / "x", model={}, tokenizer={}, metadata={}, tensors=tensors(), progress=progress
    )
    assert events == ["make a", "wrote a, 12 bytes", "make b", "wrote b, 12 bytes"]


def test_the_codec_written_is_the_one_that_fits(tmp_path):
    (info,) = write(tmp_path / "x", [("w", np.array([[0, 1e6]]), Linear(4, "row"))])
    assert info.codec == Linear(4, "row", range_dtype="f32")


@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        (
            [("w", np.array([1, np.nan]), Linear(8))],
            CodecError,
            r"tensor 'w': value at \[1\] is nan",
        ),
        ([("w", np.array([np.inf]), Raw("f16"))], CodecError, "tensor 'w': value at"),
        ([("w", np.array([[1, np.nan]]), Linear(8, "row"))], CodecError, "tensor 'w': value at"),
        ([("w", np.array([300]), Raw("u8"))], CodecError, "tensor 'w': values from 300"),
        ([("w", ZERO, Rademacher())], CodecError, "tensor 'w': .*expected \\(m, n\\)"),
        ([("w", ZERO, Linear(8))] * 2, TensorError, "two of that name"),
        ([("", ZERO, Linear(8))], TensorError, "tensor name ''"),
        ([("a..b", ZERO, Linear(8))], TensorError, "tensor name"),
        ([("../w", ZERO, Linear(8))], TensorError, "tensor name"),
        ([("w\n", ZERO, Linear(8))], TensorError, "tensor name"),
        ([("é", ZERO, Linear(8))], TensorError, "tensor name"),
        ([("w" * 201, ZERO, Linear(8))], TensorError, "tensor name"),
        ([("w", np.zeros((1,) * 9), Linear(8))], TensorError, "at most 8 dimensions"),
    ],
)
def test_what_a_file_may_not_hold_is_refused_and_nothing_is_left(tensors, error, message, tmp_path):
    write_tiny(tmp_path / "x")
    before = (tmp_path / "x").read_bytes()
    with pytest.raises(error, match=message):
        write(tmp_path / "x", tensors)
    assert (tmp_path / "x").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_metadata_that_cannot_be_written_is_refused_before_any_tensor(tmp_path):
    def tensors():
        raise AssertionError("not reached")
        yield

    with pytest.raises(HeaderError, match=r"metadata\.f1: nan"):
        write(tmp_path / "x", tensors(), metadata={"f1": float("nan")})
    assert not list(tmp_path.iterdir())


def test_more_seeded_values_than_readers_take_are_refused(tmp_path):
    class Huge(Rademacher):
        def encode(self, values):
            return b""

    matrix = np.broadcast_to(np.float32(0.5), (2**13, 2**12 + 1))
    with pytest.raises(TensorError, match="when decoded"):
        write(tmp_path / "x", [("s", matrix, Huge(seed=1))])


def test_tensors_stand_in_the_order_of_writing_not_of_the_alphabet(tmp_path):
    infos = write(tmp_path / "x", [(name, ZERO, Raw("f32")) for name in "zya"])
    assert [info.offset for info in infos] == [128, 192, 256]


@pytest.mark.skipif(os.name == "nt", reason="kills with a POSIX signal")
@pytest.mark.parametrize("written", [0, 1, 3])
def test_a_killed_writer_leaves_the_old_file_whole(written, tmp_path):
    path = tmp_path / "x.sqz"
    write_tiny(path)
    before = path.read_bytes()
    script = f"""
        import time, sys
        import numpy as np
        from squadlite.container import Raw, write_sqz
        def tensors():
            for index in range(9):
                if index == {written}:
                    print("here", flush=True)
                    time.sleep(60)
                yield f"w.{{index}}", np.zeros(100_000, np.float32), Raw("f32")
        write_sqz({str(path)!r}, model={{}}, tokenizer={{}}, metadata={{}}, tensors=tensors())
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    write(path, [("new", ZERO, Raw("f32"))])
    with open_sqz(path) as file:
        assert list(file.tensors) == ["new"]


@pytest.mark.parametrize("write_before", [write_codecs, write_coded])
def test_a_copy_with_other_metadata_keeps_every_other_byte(write_before, tmp_path):
    write_before(tmp_path / "before")
    with open_sqz(tmp_path / "before") as before:
        copy_sqz(before, tmp_path / "after", metadata={"name": "other", "more": [1, 2.5]})
        copy_sqz(before, tmp_path / "same", metadata=before.metadata)
        with open_sqz(tmp_path / "after") as after:
            after.verify()
            assert after.metadata == {"name": "other", "more": [1, 2.5]}
            assert (after.model, after.tokenizer) == (before.model, before.tokenizer)
            assert after.tensors == before.tensors
            assert after.version == before.version
            assert all(
                after.read_stored(name) == before.read_stored(name) for name in before.tensors
            )
    assert (tmp_path / "same").read_bytes() == (tmp_path / "before").read_bytes()


def test_a_file_may_be_copied_onto_itself(tmp_path):
    path = tmp_path / "x"
    write_tiny(path)
    with open_sqz(path) as file:
        copy_sqz(file, path, metadata={"name": "new"})
    with open_sqz(path) as file:
        file.verify()
        assert file.metadata == {"name": "new"}


def test_metadata_that_cant_be_written_leaves_no_copy(tmp_path):
    write_tiny(tmp_path / "x")
    with open_sqz(tmp_path / "x") as file, pytest.raises(HeaderError):
        copy_sqz(file, tmp_path / "copy", metadata={"nan": float("nan")})
    assert not (tmp_path / "copy").exists()
