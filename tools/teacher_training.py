"""
Fine-tuning of a teacher: any question-answering model that transformers loads.

    python -m tools.finetune TEACHER OUTPUT --windows-of STUDENT --data train.json

It reads a student's windows as it will when it is asked about them, and its loss is the student's
own: over all passages of a question where these are grouped.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from squadlite.answering.tokenizer import Tokenizer
from tools.alignment import NOWHERE, Aligner, TeacherWindow
from tools.data import TrainingBatch
from tools.folders import digest_folder, load_input, write_teacher
from tools.losses import group_span_loss
from tools.objectives import load_training_data
from tools.plan import Plan
from tools.processes import Processes
from tools.progress import training_bar
from tools.state import WorkFolder
from tools.teacher import LENGTH_STEP, lay_out
from tools.training import Trainer
from tools.transformers_teacher import SpanModel, load_transformers_teacher


def finetune_teacher(
    source: Path,
    output: Path,
    plan: Plan,
    *,
    student: Path,
    resume: bool = False,
    device: str | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """
    Train the model of a folder that transformers loads.

    Args:
        source: the folder.
        output: the folder to write in the same layout; replaced when the training is done.
        plan: how to train, and on what; without a teacher, vectors, quantization or evaluation.
        student: the checkpoint folder whose windows it reads.
        resume: go on with a training that was stopped.
        device, threads: see `Processes.joined`.

    Returns:
        What `output`/stages.json says.

    Raises:
        CheckpointError, TokenizerError: the student can't be loaded.
        DatasetError: the data can't be trained on.
        TrainingError: a teacher that can't be loaded, a loss that isn't a number, a state of
            another training, or a device that isn't there.
    """
    with Processes.joined(device, threads) as processes, training_bar() as report:
        start = load_input(student)
        model, teacher_tokenizer, n_positions = load_transformers_teacher(source)
        model = model.to(processes.device).requires_grad_(True)
        if plan.training.freeze_embeddings:
            for module in model.modules():
                if isinstance(module, nn.Embedding):
                    module.requires_grad_(False)
        tokenizer = Tokenizer(start.spec)
        windows = plan.windows.within(start.checkpoint.config.max_position_embeddings)
        examples, features, groups = load_training_data(plan, tokenizer, windows)
        align = Aligner(examples, tokenizer, teacher_tokenizer)
        pad_id = teacher_tokenizer.template.pad_id
        work = WorkFolder(output, {**plan.inputs(source), "student": digest_folder(student)})
        if processes.is_first:
            work.prepare(resume=resume)
        processes.wait()
        trainer = Trainer(
            model,
            groups,
            tokenizer,
            plan.training,
            rhythm=plan.rhythm,
            processes=processes,
            work=work,
            objective=span_objective,
            lay_out=partial(as_teacher_reads, align=align, n_positions=n_positions, pad_id=pad_id),
            report=report if processes.is_first else None,
        )
        trainer.train(work.load())
        stage = {
            "stage": "finetune_teacher",
            **work.inputs,
            "processes": processes.size,
            "device": processes.device.type,
            "num_windows": len(features),
            "num_groups": len(groups),
            **trainer.summary(),
        }
        if processes.is_first:
            with write_teacher(output, stage, source=source) as folder:
                model.save(folder)
            work.remove()
        processes.wait()
    return stage


def span_objective(model: SpanModel, batch: TrainingBatch) -> torch.Tensor:
    """The loss of the gold positions."""
    starts, ends = model(*batch.inputs)
    gold = batch.starts, batch.ends
    return group_span_loss((starts.float(), ends.float()), batch.attention_mask, gold, batch.groups)


def as_teacher_reads(
    batch: TrainingBatch, *, align: Aligner, n_positions: int, pad_id: int
) -> TrainingBatch:
    """
    Lay a pass out for a teacher.

    Args:
        batch: as its student reads it.
        align: makes the teacher's windows.
        n_positions, pad_id: of the teacher.

    Returns:
        The same windows and groups, with the teacher's tokens and positions.
    """
    windows = align(batch.features)
    inputs, _ = lay_out(windows, n_positions, pad_id, LENGTH_STEP)
    starts, ends = gold_positions(windows, inputs[0].shape[1])
    return TrainingBatch(batch.features, batch.groups, *inputs, starts, ends)


def gold_positions(windows: Sequence[TeacherWindow], n_tokens: int) -> torch.Tensor:
    """
    Find the gold answers in a teacher's windows.

    Args:
        windows: B of them.
        n_tokens: of each that are read, N.

    Returns:
        (2, B) int64: the teacher's first and last token of what the student's gold tokens show; 0,
        which is "no answer", where there is none or it isn't read.
    """
    gold = np.zeros((2, len(windows)), dtype=np.int64)
    for row, window in enumerate(windows):
        feature = window.feature
        if not feature.has_answer:
            continue
        # Places rise from token to token, but for special tokens that lie nowhere.
        starts, ends = window.starts[:n_tokens], window.ends[:n_tokens]
        begun = np.flatnonzero((starts != NOWHERE) & (starts <= feature.start))
        ended = np.flatnonzero(ends >= feature.end)
        if len(ended):
            first = np.flatnonzero(starts == starts[begun[-1]])[0]
            last = np.flatnonzero(ends == ends[ended[0]])[-1]
            gold[:, row] = first, last
    return torch.from_numpy(gold)
