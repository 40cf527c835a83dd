"""What a training leaves on disk while it runs: its state, its log and its best weights."""

import json
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from squadlite.atomic import atomic_write
from tools.errors import TrainingError


@dataclass(frozen=True)
class TrainingState:
    """
    All that a training needs to go on as if it had not been stopped.

    The order of the data and the random numbers of a step follow from the seed and the step's
    number, so that no generator needs to be kept.

    Args:
        step: steps done.
        seconds: time spent on them, over all runs.
        tokens: read in them, padding left out.
        weights: the parameters by name, float32.
        optimizer: its `state_dict()`.
        best_score: of the best weights; None before the first evaluation.
        recent_losses: of the steps since the last line of the log.
    """

    step: int
    seconds: float
    tokens: int
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    best_score: float | None
    recent_losses: list[float]


class WorkFolder:
    """
    The folder beside an output in which its training keeps what it needs until it is done.

    Args:
        output: the checkpoint folder that the training is to make.
        inputs: what the training starts from and how it is set; a state is good for these alone.
    """

    def __init__(self, output: Path, inputs: dict[str, Any]) -> None:
        self.folder = output.with_name(f"{output.name}.training")
        # As JSON gives it back, so that it compares with what a state was saved with.
        self.inputs = json.loads(json.dumps(inputs))

    @property
    def log_path(self) -> Path:
        """One JSON object a line, one line every few steps."""
        return self.folder / "log.jsonl"

    def prepare(self, *, resume: bool) -> None:
        """
        Make the folder ready for a training that begins or goes on.

        Args:
            resume: whether to go on with a training that was stopped.

        Raises:
            TrainingError: there is one, and it may not be resumed.
        """
        if not self._state_path.is_file():
            self.remove()
            self.folder.mkdir(parents=True)
        elif not resume:
            raise TrainingError(
                f"{self.folder}: found a training that was stopped, expected none; "
                "--resume goes on with it, removing the folder starts anew"
            )

    def load(self) -> TrainingState | None:
        """
        Read the state of the training that was stopped; None: there is none.

        Raises:
            TrainingError: it can't be read, or has other inputs.
        """
        if not self._state_path.is_file():
            return None
        try:
            values = torch.load(self._state_path, map_location="cpu", weights_only=True)
        except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0]
            raise TrainingError(f"{self._state_path}: can't be read ({reason})") from error
        inputs = values.pop("inputs")
        for name in self.inputs.keys() | inputs.keys():
            found, expected = inputs.get(name), self.inputs.get(name)
            if found != expected:
                raise TrainingError(
                    f"{self._state_path}: found a training with {name} {found!r}, "
                    f"expected {expected!r}"
                )
        try:
            return TrainingState(**values)
        except TypeError as error:
            raise TrainingError(
                f"{self._state_path}: found a state of another squadlite ({error})"
            ) from error

    def save(self, state: TrainingState) -> None:
        """Keep a state in place of the last one."""
        with atomic_write(self._state_path) as file:
            torch.save({**vars(state), "inputs": self.inputs}, file)

    def log(self, **values: Any) -> None:
        """Add a line to the log."""
        with self.log_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def cut_log(self, step: int) -> None:
        """Drop the lines of steps after `step`, and a line that a kill has cut."""
        if not self.log_path.is_file():
            return
        kept = []
        for line in self.log_path.read_text(encoding="utf-8").splitlines(keepends=True):
            if not line.endswith("\n") or json.loads(line)["step"] > step:
                break
            kept.append(line)
        with atomic_write(self.log_path) as file:
            file.write("".join(kept).encode())

    def save_best(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Keep weights in place of the best so far."""
        with atomic_write(self._best_path) as file:
            file.write(safetensors.torch.save(dict(weights)))

    def load_best(self) -> dict[str, torch.Tensor]:
        """Read the best weights."""
        return safetensors.torch.load_file(self._best_path)

    def remove(self) -> None:
        """Delete all of it."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    @property
    def _state_path(self) -> Path:
        return self.folder / "state.pt"

    @property
    def _best_path(self) -> Path:
        return self.folder / "best.safetensors"
