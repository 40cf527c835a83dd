"""
What a teacher says of all training windows, kept on disk.

A cache is a folder of parts, each of PART_WINDOWS windows, the longest windows first: an asking
that was stopped goes on with the first part that is missing, and several processes share the parts
out. A part is a record for each of its windows, one after the other, and nothing else.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.atomic import atomic_write
from tools.data import Feature, TrainingBatch
from tools.errors import TrainingError
from tools.processes import Processes
from tools.soft_targets import N_BEST, SoftTargets
from tools.teacher import Teacher

# A minute or two of a teacher of BERT-base's size on one core: what a kill loses.
PART_WINDOWS = 512
# Parts asked about at once on a GPU, which would wait for one thread that lays windows out and
# gathers what is kept.
GPU_THREADS = 4

# What `SoftTargets` holds of a window; [CLS], which always stands at 0, needs no position.
RECORD = np.dtype([("positions", "<u2", (2, N_BEST)), ("log_probs", "<f2", (2, N_BEST + 2))])


class KeptTargets:
    """
    What a teacher says of every training window.

    Args:
        records: (n_windows,) RECORD, in the order of the windows' numbers.
    """

    def __init__(self, records: NDArray[np.void]) -> None:
        self._records = records

    def __call__(self, batch: TrainingBatch) -> SoftTargets:
        """What the teacher says of a batch's windows."""
        records = self._records[[feature.number for feature in batch.features]]
        positions = records["positions"].swapaxes(0, 1).astype(np.int64)
        log_probs = records["log_probs"].swapaxes(0, 1).astype(np.float32)
        cls_positions = np.zeros_like(positions[..., :1])
        return SoftTargets(
            torch.from_numpy(np.concatenate([cls_positions, positions], axis=-1)),
            torch.from_numpy(log_probs),
        )


def fill_cache(
    folder: Path,
    features: Sequence[Feature],
    load: Callable[[], Teacher],
    *,
    temperature: float,
    max_pass_tokens: int,
    processes: Processes,
    report: Callable[[float, float], None] | None = None,
) -> None:
    """
    Ask a teacher about all windows whose parts a cache lacks, each process about its share.

    Args:
        folder: the cache, whose name says of which teacher, data and settings it is.
        features: all windows.
        load: loads the teacher; not called where nothing is missing.
        temperature, max_pass_tokens: see `Teacher.ask_by_length`.
        processes: this process among its like.
        report: called with the share done of what this process asks, and tokens/s.

    Raises:
        TrainingError: logits that are not finite.
    """
    parts = _parts(features)
    missing = [number for number in range(len(parts)) if not _path(folder, number).is_file()]
    processes.wait()  # until all have looked, none may write
    share = processes.share(missing)
    if share:
        folder.mkdir(parents=True, exist_ok=True)
        teacher = load()
        n_tokens = sum(len(feature) for number in share for feature in parts[number])
        n_done, started = 0, time.monotonic()

        def ask(number: int) -> int:
            rows = {feature.number: row for row, feature in enumerate(parts[number])}
            records = np.zeros(len(rows), dtype=RECORD)
            for some, targets in teacher.ask_by_length(
                parts[number], temperature=temperature, max_pass_tokens=max_pass_tokens
            ):
                records[[rows[feature.number] for feature in some]] = _records(targets)
            with atomic_write(_path(folder, number)) as file:
                file.write(records.tobytes())
            return sum(map(len, parts[number]))

        with ThreadPoolExecutor(GPU_THREADS) as threads:
            is_gpu = processes.device.type == "cuda"
            for n_asked in threads.map(ask, share) if is_gpu else map(ask, share):
                n_done += n_asked
                if report is not None:
                    report(n_done / n_tokens, n_done / (time.monotonic() - started))
    processes.wait()


def read_cache(folder: Path, features: Sequence[Feature]) -> KeptTargets:
    """
    Read a cache that `fill_cache` has filled.

    Args:
        folder: the cache.
        features: all windows.

    Raises:
        TrainingError: a part that is damaged or missing.
    """
    records = np.zeros(len(features), dtype=RECORD)
    for number, part in enumerate(_parts(features)):
        lengths = np.array([len(feature) for feature in part])
        found = _read_part(_path(folder, number), lengths)
        records[[feature.number for feature in part]] = found
    return KeptTargets(records)


def _read_part(path: Path, lengths: NDArray[np.int64]) -> NDArray[np.void]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path}: can't be read ({error.strerror})") from error
    expected = len(lengths) * RECORD.itemsize
    if len(content) != expected:
        raise TrainingError(
            f"{path}: found {len(content)} bytes, expected {expected}; "
            "removing the file has it made anew"
        )
    records = np.frombuffer(content, dtype=RECORD)
    are_tokens = records["positions"] < lengths[:, None, None]
    are_log_probs = records["log_probs"] <= 0
    if not are_tokens.all() or not are_log_probs.all():
        raise TrainingError(
            f"{path}: found positions outside their windows, or no log probabilities; "
            "removing the file has it made anew"
        )
    return records


def _records(targets: SoftTargets) -> NDArray[np.void]:
    records = np.zeros(targets.positions.shape[1], dtype=RECORD)
    records["positions"] = targets.positions[..., 1:].numpy().swapaxes(0, 1)
    records["log_probs"] = targets.log_probs.numpy().swapaxes(0, 1)
    return records


def _parts(features: Sequence[Feature]) -> list[Sequence[Feature]]:
    by_length = sorted(features, key=lambda feature: (-len(feature), feature.number))
    return [by_length[i : i + PART_WINDOWS] for i in range(0, len(by_length), PART_WINDOWS)]


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.bin"
