import json
from pathlib import Path

import pytest
import torch
from tiny_models import random_model, tiny_config

from tools.errors import TrainingError
from tools.state import TrainingState, WorkFolder

STATE = TrainingState(
    step=7,
    seconds=1.5,
    tokens=300,
    weights={"w": torch.arange(3.0)},
    optimizer={"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": []},
    best_score=50.0,
    recent_losses=[0.1, 0.2],
)


@pytest.fixture
def work(tmp_path: Path) -> WorkFolder:
    folder = WorkFolder(tmp_path / "out", {"seed": 1, "pair": (1, 2)})
    folder.prepare(resume=False)
    return folder


def test_a_state_comes_back_as_it_was(work: WorkFolder) -> None:
    work.save(STATE)
    found = work.load()
    assert found is not None
    assert torch.equal(found.weights["w"], STATE.weights["w"])
    assert (found.step, found.seconds, found.tokens, found.best_score) == (7, 1.5, 300, 50.0)
    assert found.recent_losses == STATE.recent_losses
    assert found.optimizer == STATE.optimizer


def test_a_new_folder_has_no_state(work: WorkFolder) -> None:
    assert work.load() is None


def test_a_state_is_not_thrown_away_unasked(work: WorkFolder) -> None:
    work.save(STATE)
    with pytest.raises(TrainingError, match="--resume"):
        work.prepare(resume=False)
    work.prepare(resume=True)
    assert work.load() is not None


def test_a_state_of_other_inputs_is_refused(work: WorkFolder, tmp_path: Path) -> None:
    work.save(STATE)
    with pytest.raises(TrainingError, match="seed 1, expected 2"):
        WorkFolder(tmp_path / "out", {"seed": 2, "pair": (1, 2)}).load()


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04 cut off"])
def test_a_damaged_state_is_refused(work: WorkFolder, content: bytes) -> None:
    (work.folder / "state.pt").write_bytes(content)
    with pytest.raises(TrainingError, match="can't be read"):
        work.load()


def test_what_a_run_before_left_without_a_state_is_cleared(work: WorkFolder) -> None:
    work.log(step=1)
    work.prepare(resume=True)
    assert not work.log_path.exists()


def test_the_log_is_cut_back_to_the_state(work: WorkFolder) -> None:
    for step in (2, 4, 6):
        work.log(step=step)
    with work.log_path.open("a") as file:
        file.write('{"step": ')
    work.cut_log(4)
    lines = work.log_path.read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4]


def test_the_best_weights_come_back(work: WorkFolder) -> None:
    model = random_model(tiny_config())
    for factor in (1.0, 2.0):
        weights = {name: factor * tensor for name, tensor in model.state_dict().items()}
        work.save_best(weights)
    found = work.load_best()
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
