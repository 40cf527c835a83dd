"""
Fine-tuning of a student: a checkpoint of one of our families.

    python -m tools.finetune CHECKPOINT OUTPUT --data train.json
"""

import shutil
from pathlib import Path
from typing import Any

from squadlite.answering.metadata import METADATA_FILE, load_metadata
from squadlite.answering.tokenizer import Tokenizer
from squadlite.model import Checkpoint, model_from_checkpoint
from tools.folders import load_input, write_json, write_output
from tools.objectives import (
    load_training_data,
    make_contrast,
    make_objective,
    make_quantized,
    make_scorer,
)
from tools.plan import Plan
from tools.processes import Processes
from tools.progress import training_bar
from tools.state import WorkFolder
from tools.training import Trainer, trainable_model

# What a cosine counts for in a search until `tools.fit_search` has fitted it: with the vectors
# of all-MiniLM-L6-v2 1 to 1.5 serve alike, over four books and 875 questions.
COSINE_WEIGHT = 1.0


def finetune_student(
    source: Path,
    output: Path,
    plan: Plan,
    *,
    resume: bool = False,
    device: str | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """
    Train the model of a checkpoint folder.

    Args:
        source, output: checkpoint folders; `output` is replaced when the training is done.
        plan: how to train, and on what.
        resume: go on with a training that was stopped.
        device, threads: see `Processes.joined`. Where other programs keep the cores busy, processes
            of one thread each are faster by far.

    Returns:
        What `output`/stages.json says: the plan, steps, seconds, tokens/s, the best score.

    Raises:
        CheckpointError, TokenizerError: a folder can't be loaded.
        DatasetError: the data can't be trained on.
        TrainingError: a loss that isn't a number, a state of another training, a teacher that
            doesn't fit, or a device that isn't there.
    """
    with Processes.joined(device, threads) as processes, training_bar() as report:
        start = load_input(source)
        model = trainable_model(
            model_from_checkpoint(start.checkpoint),
            processes.device,
            freeze_embeddings=plan.training.freeze_embeddings,
        )
        tokenizer = Tokenizer(start.spec)
        windows = plan.windows.within(model.config.max_position_embeddings)
        examples, features, groups = load_training_data(plan, tokenizer, windows)
        work = WorkFolder(output, plan.inputs(source))
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
            objective=make_objective(start, examples, features, plan, processes),
            contrast=make_contrast(tokenizer, plan, processes),
            quantized=make_quantized(model, plan),
            evaluate=make_scorer(model, tokenizer, windows, plan.evaluation),
            report=report if processes.is_first else None,
        )
        checkpoint = Checkpoint(model.config, trainer.train(work.load()))
        stage = {
            "stage": "finetune",
            **work.inputs,
            "processes": processes.size,
            "device": processes.device.type,
            "num_windows": len(features),
            "num_groups": len(groups),
            "num_answerable": sum(feature.has_answer for feature in features),
            **trainer.summary(),
        }
        if processes.is_first:
            with write_output(output, checkpoint, stage, source=start.folder) as folder:
                if plan.contrast is not None:
                    _declare_vectors(folder)
                if work.log_path.is_file():
                    shutil.copyfile(work.log_path, folder / work.log_path.name)
            work.remove()
        processes.wait()
    return stage


def _declare_vectors(folder: Path) -> None:
    embedding = {"pooling": "mean", "weight": COSINE_WEIGHT}
    write_json(folder / METADATA_FILE, {**load_metadata(folder), "embedding": embedding})
