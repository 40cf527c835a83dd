"""Files that must load for ever, and the second reader that only knows the spec."""

import dataclasses
import hashlib
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import reference_encoder
import reference_reader
import torch
from sqz_files import (
    GOLDEN,
    GOLDEN_MODELS,
    coded_tensors,
    exact_tensors,
    write_codecs,
    write_coded,
    write_golden_model,
    write_tiny,
)

from squadlite.config import ModelConfig
from squadlite.container import open_sqz, write_sqz
from squadlite.container.codecs import CODECS, Linear, Raw, Uniform, nearest_exponents, splitmix64
from squadlite.model import load_model

SPEC = (Path(__file__).parent.parent / "format_spec.md").read_text(encoding="utf-8")
DIGESTS = {
    "byte_bpe": "c85237b4081e086b361fe8f875484efb698db14f212506f3ec4105dc12d5d95d",
    "unigram": "1c3737305b64dea4b744f79120e21356366c3faeaad3cfcd299da75fe5f500d8",
    "tiny": "0da36f9f7ee55e8c97d9f7a4666cfa9dce1b9065d666fbb94d975eeee530e2ea",
    "coded": "94b5dd886ac5401ad3e5ab6ce77163b485b96c1da320ce0d903b8d41773d7382",
    "distances": "689ae982ff03aeae54b51952bb0b5205127d027a92fcb6a5944710d63163675c",
    "narrow": "ec6044144c9feaf4015758ab7363d5c6823adbf38406bdb7e7880b3a5ccede22",
    "codecs": "9e79fd413489be9d88053e900060321480fe00d21cc7f5255e3fc0e4068a5c80",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_golden_files_are_what_they_were(name):
    content = (GOLDEN / f"{name}.sqz").read_bytes()
    assert hashlib.sha256(content).hexdigest() == DIGESTS[name]


@pytest.mark.parametrize(("name", "write"), [("tiny", write_tiny), ("codecs", write_codecs)])
def test_the_same_input_gives_the_same_bytes_as_ever(name, write, tmp_path):
    write(tmp_path / "new.sqz")
    assert (tmp_path / "new.sqz").read_bytes() == (GOLDEN / f"{name}.sqz").read_bytes()


def test_the_same_input_gives_the_same_coded_bytes_as_ever(tmp_path):
    write_coded(tmp_path / "new.sqz")
    with open_sqz(tmp_path / "new.sqz") as new, open_sqz(GOLDEN / "coded.sqz") as old:
        assert list(new.tensors) == list(old.tensors)
        for name, info in old.tensors.items():
            # Another zlib deflates to other bytes.
            if not (isinstance(info.codec, Raw) and info.codec.coding):
                written = new.tensors[name]
                assert (written.codec, written.digest) == (info.codec, info.digest)


def test_the_tiny_file_holds_what_the_spec_says():
    with open_sqz(GOLDEN / "tiny.sqz") as file:
        file.verify()
        assert file.version == (1, 0)
        assert file.model == {"hidden_size": 2}
        assert file.metadata == {"name": "tiny"}
        assert file.read("a.weight").tolist() == [[-1, 0, 1], [2, 3, 6]]
        assert file.read("b").tolist() == [1, 2]


@pytest.mark.parametrize(
    ("name", "version", "tensors", "names"),
    [
        ("codecs", (1, 0), exact_tensors, {"raw", "linear", "rademacher"}),
        ("coded", (2, 0), coded_tensors, {"raw", "linear", "uniform"}),
    ],
)
def test_every_codec_loads_with_the_values_stated(name, version, tensors, names):
    with open_sqz(GOLDEN / f"{name}.sqz") as file:
        file.verify()
        assert file.version == version
        assert list(file.tensors) == [name for name, _, _ in tensors()]
        assert {info.codec.name for info in file.tensors.values()} == names
        for tensor, values, codec in tensors():
            loaded, info = file.read(tensor), file.tensors[tensor]
            assert info.codec == codec.stored(values)[0] or codec.name == "raw"
            assert (loaded.shape, loaded.dtype) == (values.shape, info.dtype)
            np.testing.assert_array_equal(loaded, values, err_msg=tensor)


def test_the_golden_files_hold_every_codec():
    held = set()
    for name in ("codecs", "coded"):
        with open_sqz(GOLDEN / f"{name}.sqz") as file:
            held |= {info.codec.name for info in file.tensors.values()}
    assert held == set(CODECS)


@pytest.mark.parametrize("name", DIGESTS)
def test_the_second_reader_reads_the_same(name):
    header, tensors = reference_reader.read_file((GOLDEN / f"{name}.sqz").read_bytes())
    with open_sqz(GOLDEN / f"{name}.sqz") as file:
        assert header["metadata"] == file.metadata
        assert {key: file.read(key).ravel().tolist() for key in file.tensors} == tensors


@pytest.mark.parametrize("name", GOLDEN_MODELS)
def test_golden_models_are_as_they_were_and_score_as_the_spec_says(name, tmp_path):
    header, tensors = reference_reader.read_file((GOLDEN / f"{name}.sqz").read_bytes())
    stated = header["metadata"]
    write_golden_model(tmp_path / "new.sqz", name, stated)
    with open_sqz(GOLDEN / f"{name}.sqz") as old, open_sqz(tmp_path / "new.sqz") as new:
        assert (old.version, old.model) == (new.version, new.model) == ((2, 0), header["model"])
        for tensor in old.tensors:
            np.testing.assert_array_equal(old.read(tensor), new.read(tensor))
    expected = [stated["start_logits"], stated["end_logits"]]
    found = reference_encoder.logits(header["model"], tensors, stated["ids"], stated["types"])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    model = load_model(GOLDEN / f"{name}.sqz")
    ids, types = (torch.tensor([stated[key]]) for key in ("ids", "types"))
    with torch.inference_mode():
        found = torch.stack(model(ids, types, torch.ones_like(ids, dtype=torch.bool)))[:, 0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-4)


def test_golden_models_have_all_that_models_may_have():
    models = [ModelConfig.from_dict(read_model(name)) for name in GOLDEN_MODELS]
    assert all(
        any(getattr(model, field.name) is not None for model in models)
        for field in dataclasses.fields(ModelConfig)
    )
    assert {model.type_vocab_size for model in models} >= {0, 2}
    assert any(model.sketch_dims for model in models)
    assert all(model.num_layer_groups < model.num_layers for model in models)


def read_model(name):
    with open_sqz(GOLDEN / f"{name}.sqz") as file:
        return file.model


@pytest.mark.parametrize(
    "codec",
    [
        *(Linear(bits, "tensor") for bits in (1, 3, 4, 8, 10, 13, 16)),
        *(Linear(bits, "row") for bits in (1, 3, 4, 8, 10, 13, 16)),
        *(Linear(bits, "group", 8) for bits in (1, 3, 4, 8, 10, 13, 16)),
        *(Linear(bits, "group", 8).compressed() for bits in (1, 3, 4, 8, 10, 13, 16)),
        Uniform(0.013),
        Uniform(0.02, "rows", exponents=nearest_exponents(np.linspace(0.1, 9, 70))),
        Uniform(0.02, "columns", exponents=nearest_exponents(np.linspace(0.1, 9, 37))),
    ],
    ids=str,
)
def test_the_second_reader_decodes_real_weights_to_the_same_bits(codec, tmp_path):
    weights = np.random.default_rng(3).normal(0, 0.05, (70, 37)).astype(np.float32)
    write_sqz(tmp_path / "a", model={}, tokenizer={}, metadata={}, tensors=[("w", weights, codec)])
    _, tensors = reference_reader.read_file((tmp_path / "a").read_bytes())
    with open_sqz(tmp_path / "a") as file:
        assert file.read("w").ravel().tolist() == tensors["w"]


def test_every_width_is_encoded_to_the_same_bytes_everywhere():
    # Drawn and cubed in whole numbers and exact float operations: the same on every platform too.
    integers = splitmix64(5, 97 * 311).astype(np.int64) >> 40
    uniform = integers.astype(np.float64).reshape(97, 311) / 2**23
    values = (uniform * uniform * uniform).astype(np.float32)
    digest = hashlib.sha256()
    for bits in range(1, 17):
        for codec in (
            Linear(bits),
            Linear(bits, "row"),
            Linear(bits, "group", 64),
            Linear(bits, "group", 33, search_range=True),
        ):
            digest.update(codec.fitted(values).encode(values))
    assert digest.hexdigest() == "c9a85a27c3d9c3cc7a1cda4ac8fc1538c3e9f2a6cbca9f73f614595ce26e3e1f"


def test_the_dump_in_the_spec_is_the_tiny_file():
    dump = re.search(r"```\n(00000000  .*?)```", SPEC, re.DOTALL)
    lines = [line.split("  ") for line in dump.group(1).splitlines()]
    content = b""
    for position, octets, *_ in lines:
        assert int(position, 16) == len(content)
        content += bytes.fromhex(octets)
    assert content == (GOLDEN / "tiny.sqz").read_bytes()


def test_the_generator_gives_the_vectors_of_the_spec():
    rows = re.findall(
        r"^\| (\d+) \| `([0-9a-f]{16})` `([0-9a-f]{16})` `([0-9a-f]{16})` \|$", SPEC, re.M
    )
    assert len(rows) == 3
    for seed, *outputs in rows:
        expected = [int(output, 16) for output in outputs]
        assert splitmix64(int(seed), 3).tolist() == expected
        assert [reference_reader.splitmix64(int(seed), k) for k in range(3)] == expected


def test_the_powers_of_two_are_those_of_the_spec():
    rows = re.findall(r"^\| (\d) \| `(0x1\.\w{13}p\+0)` \| ([\d.]+) \|$", SPEC, re.M)
    assert [int(k) for k, _, _ in rows] == [*range(8)]
    # The exact root lies between these two, and the two are of one binary64.
    roots = [math.isqrt(math.isqrt(math.isqrt(2 ** (k + 1600)))) for k in range(8)]
    nearest = [float(Fraction(root, 2**200)) for root in roots]
    assert nearest == [float(Fraction(root + 1, 2**200)) for root in roots]
    assert [float.fromhex(digits) for _, digits, _ in rows] == nearest
    assert [float(digits) for _, _, digits in rows] == nearest
    assert nearest == reference_reader.EIGHTHS
