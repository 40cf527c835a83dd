"""One model of several: the mean of their weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import run_stage, write_checkpoint

from squadlite.errors import CheckpointError
from squadlite.model import Checkpoint, load_checkpoint
from tools.average import average, main
from tools.folders import load_stages


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models of one shape and vocabulary."""
    folder = tmp_path_factory.mktemp("models")
    for seed in (1, 2):
        write_checkpoint(folder / str(seed), seed=seed)
    return folder / "1", folder / "2"


def test_each_weight_is_the_mean_by_what_each_model_counts_for(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    first, second = folders
    options = ("--other", second, "--weight", 3, "--weight", 1)
    run_stage(main, first, tmp_path / "averaged", *options)
    a, b, mean = (load_checkpoint(path).tensors for path in (first, second, tmp_path / "averaged"))
    assert any(not torch.equal(a[name], b[name]) for name in a)
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, 0.75 * a[name] + 0.25 * b[name])
    (stage,) = load_stages(tmp_path / "averaged")
    assert stage["weights"] == [3, 1]
    assert (tmp_path / "averaged" / "vocab.txt").read_bytes() == (first / "vocab.txt").read_bytes()


def test_models_count_alike_where_nothing_is_said(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    run_stage(main, folders[0], tmp_path / "averaged", "--other", folders[1])
    expected = average([load_checkpoint(folder) for folder in folders], (1, 1))
    for name, tensor in load_checkpoint(tmp_path / "averaged").tensors.items():
        torch.testing.assert_close(tensor, expected.tensors[name])


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5))
def test_the_mean_of_a_model_and_itself_is_the_model(
    folders: tuple[Path, Path], weights: list[float]
) -> None:
    model = load_checkpoint(folders[0])
    for name, tensor in average([model] * len(weights), weights).tensors.items():
        assert torch.equal(tensor, model.tensors[name]), name


@pytest.mark.parametrize("weights", [(), (1.0,), (1.0, 1.0, 1.0), (1.0, 0.0), (1.0, float("nan"))])
def test_weights_that_dont_fit_the_models_are_refused(
    folders: tuple[Path, Path], weights: tuple[float, ...]
) -> None:
    models = [load_checkpoint(folder) for folder in folders]
    with pytest.raises(CheckpointError, match=r"weights: found .*, expected 2 above 0"):
        average(models, weights)


def test_models_of_another_shape_are_refused(folders: tuple[Path, Path]) -> None:
    model = load_checkpoint(folders[0])
    other = Checkpoint(replace(model.config, num_heads=1), model.tensors)
    with pytest.raises(CheckpointError, match=r"found a model of .*num_heads=1"):
        average([model, other], (1, 1))


def test_models_of_another_vocabulary_are_refused(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    write_checkpoint(tmp_path / "other")
    vocab = tmp_path / "other" / "vocab.txt"
    *pieces, last = vocab.read_text().splitlines()
    vocab.write_text("\n".join([*pieces, f"{last}s"]) + "\n")
    arguments = [str(folders[0]), str(tmp_path / "averaged"), "--other", str(tmp_path / "other")]
    result = CliRunner().invoke(main, arguments)
    assert isinstance(result.exception, CheckpointError)
    assert "found another tokenizer" in str(result.exception)
    assert not (tmp_path / "averaged").exists()
