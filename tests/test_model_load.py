from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import padded_batch, random_model, tiny_config

from squadlite.container import Codec, Linear, Rademacher, Raw, open_sqz, write_sqz
from squadlite.errors import DigestError, FormatError, HeaderError, TensorError
from squadlite.model import (
    Checkpoint,
    QuestionAnsweringModel,
    load_model,
    model_from_sqz,
    save_checkpoint,
)

CONFIGS: list[dict[str, Any]] = [
    {},
    {"type_vocab_size": 0},
    {"num_layers": 4, "layer_map": (0, 1, 1, 0)},
    {"sketch_dims": {"attention.query": 5, "feed_forward.output": 3}},
]


def write_model(
    path: Path,
    model: QuestionAnsweringModel,
    *,
    codec: Codec | None = None,
    header: Any = None,
    drop: str = "",
    extra: dict[str, np.ndarray] | None = None,
) -> Path:
    tensors = {name: t.detach().numpy() for name, t in model.state_dict().items() if name != drop}
    tensors |= extra or {}
    write_sqz(
        path,
        model=model.config.to_dict() if header is None else header,
        tokenizer={},
        metadata={},
        tensors=(
            (name, values, _codec(name, values, codec or Raw("f32")))
            for name, values in tensors.items()
        ),
    )
    return path


def _codec(name: str, values: np.ndarray, codec: Codec) -> Codec:
    if values.dtype == np.uint8:
        return Raw("u8")
    return Rademacher() if name.endswith(".sketch") else codec


@pytest.mark.parametrize("changes", CONFIGS)
def test_a_model_survives_its_file(changes: dict[str, Any], tmp_path: Path) -> None:
    model = random_model(tiny_config(**changes))
    loaded = load_model(write_model(tmp_path / "m.sqz", model))
    assert loaded.config == model.config
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), rtol=1e-6, atol=0)
    batch = padded_batch(model.config)
    torch.testing.assert_close(loaded(*batch), model(*batch), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("changes", CONFIGS)
def test_file_and_folder_give_the_same_logits(changes: dict[str, Any], tmp_path: Path) -> None:
    model = random_model(tiny_config(**changes))
    save_checkpoint(tmp_path / "folder", Checkpoint(model.config, model.state_dict()))
    from_file = load_model(write_model(tmp_path / "m.sqz", model))
    from_folder = load_model(str(tmp_path / "folder"))
    batch = padded_batch(model.config)
    torch.testing.assert_close(from_file(*batch), from_folder(*batch), rtol=1e-4, atol=1e-4)


def test_a_loaded_model_is_ready_to_answer(tmp_path: Path) -> None:
    loaded = load_model(write_model(tmp_path / "m.sqz", random_model(tiny_config())))
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert {tensor.device.type for tensor in loaded.state_dict().values()} == {"cpu"}


def test_the_model_outlives_the_open_file(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.sqz", random_model(tiny_config()))
    with open_sqz(path) as file:
        model = model_from_sqz(file)
    path.unlink()
    model(*padded_batch(model.config))


def test_quantized_weights_stay_within_half_a_step(tmp_path: Path) -> None:
    model = random_model(tiny_config())
    loaded = load_model(write_model(tmp_path / "m.sqz", model, codec=Linear(bits=8)))
    for name, tensor in model.state_dict().items():
        step = (tensor.max() - tensor.min()) / 255
        assert (loaded.state_dict()[name] - tensor).abs().max() <= 0.501 * step


def test_tensors_of_the_tokenizer_are_not_the_models(tmp_path: Path) -> None:
    pieces = {"tokenizer.vocab": np.frombuffer(b"[UNK]\na", dtype=np.uint8)}
    load_model(write_model(tmp_path / "m.sqz", random_model(tiny_config()), extra=pieces))


def test_a_header_without_a_model_is_refused(tmp_path: Path) -> None:
    model = random_model(tiny_config())
    for header in ({}, model.config.to_dict() | {"num_heads": 5}):
        path = write_model(tmp_path / "m.sqz", model, header=header)
        with pytest.raises(HeaderError, match=r"m\.sqz: model config"):
            load_model(path)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.sqz", random_model(tiny_config()), drop="span_head.bias")
    with pytest.raises(TensorError, match=r"m\.sqz: tensor 'span_head\.bias' is missing"):
        load_model(path)


def test_an_unknown_tensor_is_named(tmp_path: Path) -> None:
    extra = {"layers.2.attention.query.weight": np.zeros((12, 12), dtype=np.float32)}
    path = write_model(tmp_path / "m.sqz", random_model(tiny_config()), extra=extra)
    with pytest.raises(TensorError, match=r"tensor 'layers\.2\.attention\.query\.weight'.*unknown"):
        load_model(path)


def test_a_tensor_of_another_shape_or_type_is_named(tmp_path: Path) -> None:
    model = random_model(tiny_config())
    wide = {"span_head.bias": np.zeros(3, dtype=np.float32)}
    path = write_model(tmp_path / "m.sqz", model, extra=wide)
    with pytest.raises(TensorError, match=r"span_head\.bias': found shape \(3,\), expected \(2,\)"):
        load_model(path)
    bytes_ = {"span_head.bias": np.zeros(2, dtype=np.uint8)}
    path = write_model(tmp_path / "m.sqz", model, extra=bytes_)
    with pytest.raises(TensorError, match=r"span_head\.bias': found uint8, expected float32"):
        load_model(path)


def test_a_config_that_asks_for_much_gets_nothing(tmp_path: Path) -> None:
    model = random_model(tiny_config())
    header = model.config.to_dict() | {"vocab_size": 2**20, "hidden_size": 1536}
    path = write_model(tmp_path / "m.sqz", model, header=header)
    with pytest.raises(TensorError, match="found shape"):
        load_model(path)


def test_damage_is_noticed(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.sqz", random_model(tiny_config()))
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(DigestError, match=r"embeddings\.word\.weight"):
        load_model(path)


def test_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.sqz"
    path.write_text("not a model")
    with pytest.raises(FormatError):
        load_model(path)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "absent.sqz")
