"""
Fine-tuning on SQuAD data.

    python -m tools.finetune CHECKPOINT OUTPUT --data train-v2.0.json
    torchrun --nproc-per-node 2 -m tools.finetune CHECKPOINT OUTPUT --data train-v2.0.json

Alone, from a teacher (`tools.distill`), at quantized weights (`tools.quantize`), or both.

On a CPU that other programs use too, set OMP_WAIT_POLICY=passive or give each process one thread:
threads that spin while they wait for one another lose nearly all of their time.

Source: Deng & Looi 2020, sections 3.1 and 3.3; the loop is in `tools.training`.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click
import torch

from squadlite.answering.metadata import METADATA_FILE, load_metadata
from squadlite.answering.reader import ReaderSettings
from squadlite.answering.tokenizer import Tokenizer
from squadlite.errors import CodecError
from squadlite.model import Checkpoint, model_from_checkpoint
from squadlite.quantization import Quantization, SameAs
from tools.command import (
    TitleShare,
    checkpoint_argument,
    existing_file,
    existing_folder,
    new_folder,
    output_argument,
    run,
)
from tools.contrast import ContrastSettings
from tools.distill import DistillationSettings
from tools.folders import (
    load_input,
    write_json,
    write_output,
)
from tools.objectives import (
    load_training_data,
    make_contrast,
    make_objective,
    make_quantized,
    make_scorer,
)
from tools.plan import Evaluation, Plan, Teaching
from tools.processes import Processes
from tools.progress import training_bar
from tools.settings import (
    Precision,
    Rhythm,
    TrainingSettings,
    best_pass_tokens,
    best_precision,
)
from tools.state import WorkFolder
from tools.teacher_training import finetune_teacher
from tools.training import Trainer, trainable_model

# What a cosine counts for in a search until `tools.fit_search` has fitted it: with the vectors
# of all-MiniLM-L6-v2 1 to 1.5 serve alike, over four books and 875 questions.
COSINE_WEIGHT = 1.0


def finetune(
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
        device: "cpu" or "cuda"; None: CUDA where there is one.
        threads: of this process's model on a CPU; None: as many as torch would use. Where other
            programs keep the cores busy, processes of one thread each are faster by far.

    Returns:
        What `output`/stages.json says: the plan, steps, seconds, tokens/s, the best score.

    Raises:
        CheckpointError, TokenizerError: a folder can't be loaded.
        DatasetError: the data can't be trained on.
        TrainingError: a loss that isn't a number, a state of another training, or a teacher that
            doesn't fit.
    """
    with Processes.joined(device) as processes, _threads(threads), training_bar() as report:
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


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@click.command()
@checkpoint_argument
@output_argument
@click.option(
    "--data", type=existing_file, required=True, multiple=True, help="SQuAD file to train on."
)
@click.option(
    "--take",
    type=TitleShare(),
    multiple=True,
    help="Train on this share of the questions of articles with such titles only; the last one "
    "that fits counts.",
)
@click.option(
    "--group-passages",
    "together",
    is_flag=True,
    help="Normalise over all passages that a question is asked of, not over each alone.",
)
@click.option(
    "--max-group-windows",
    type=click.IntRange(min=2),
    help="Of a question's passages read so many windows in an epoch, others each time.  "
    "[default: all]",
)
@click.option("--epochs", type=float, default=2, show_default=True)
@click.option("--batch-size", type=int, default=12, show_default=True, help="Windows in a step.")
@click.option("--learning-rate", type=float, default=3e-5, show_default=True)
@click.option(
    "--warmup", type=float, default=0.1, show_default=True, help="Share of rising learning rate."
)
@click.option("--weight-decay", type=float, default=0.01, show_default=True)
@click.option("--max-gradient-norm", type=float, default=1.0, show_default=True)
@click.option("--dropout", type=float, default=0.1, show_default=True)
@click.option("--freeze-embeddings", is_flag=True, help="Leave the embeddings as they are.")
@click.option(
    "--max-pass-tokens",
    type=int,
    help="Tokens that go through the model at once; larger batches are accumulated.  "
    "[default: 1024 on a CPU, 16384 on a GPU]",
)
@click.option(
    "--max-seconds", type=float, help="Time budget; the schedule is shortened to end in it."
)
@click.option(
    "--windows-of",
    "student",
    type=existing_folder,
    help="CHECKPOINT is a teacher that transformers loads: train it on the windows of this "
    "student, to be asked about them later.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--precision",
    type=click.Choice(["auto", "f32", "bf16"]),
    default="auto",
    show_default=True,
    help="What the model computes in; auto: bf16 where the device is made for it.",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="[default: cuda if there]")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads of each process on a CPU.  [default: one per core]",
)
@click.option("--max-seq-length", type=int, default=384, show_default=True)
@click.option("--doc-stride", type=int, default=128, show_default=True)
@click.option(
    "--teacher",
    type=existing_folder,
    multiple=True,
    help="Model to distill from: a checkpoint, or what transformers loads; of several the average.",
)
@click.option(
    "--hard-weight",
    type=float,
    default=0.5,
    show_default=True,
    help="With a teacher: the gold positions' share of the loss.",
)
@click.option("--temperature", type=float, default=1.0, show_default=True)
@click.option(
    "--hidden-weight",
    type=float,
    default=0.0,
    show_default=True,
    help="With a teacher: weight of the hidden states' difference.",
)
@click.option(
    "--teacher-cache",
    type=new_folder,
    help="Ask the teacher once and keep its answers here; else it runs beside the student.",
)
@click.option(
    "--contrast-weight",
    type=float,
    help="Train vectors of questions and passages too; their loss's weight beside the spans'.",
)
@click.option("--contrast-temperature", type=float, default=0.05, show_default=True)
@click.option(
    "--contrast-negatives",
    type=int,
    default=1,
    show_default=True,
    help="Retrieved passages a question brings along, beside the other questions' of the batch.",
)
@click.option(
    "--quantize-bits", type=int, help="Train at weights quantized to so many bits a value."
)
@click.option(
    "--quantize-per",
    type=click.Choice(["tensor", "row", "group"]),
    default="tensor",
    show_default=True,
)
@click.option("--group-size", type=int, default=64, show_default=True)
@click.option(
    "--quantize-like",
    type=existing_file,
    help="Train at weights quantized as this .sqz file of the same model has them.",
)
@click.option(
    "--evaluate", type=existing_file, help="SQuAD file that the best checkpoint is chosen by."
)
@click.option(
    "--evaluate-limit",
    type=int,
    default=500,
    show_default=True,
    help="Questions of it to ask, evenly spread.",
)
@click.option("--evaluate-steps", type=int, default=1000, show_default=True)
@click.option("--log-steps", type=int, default=20, show_default=True)
@click.option(
    "--save-minutes",
    type=float,
    default=10,
    show_default=True,
    help="Time between states that --resume can go on from.",
)
@click.option("--resume", is_flag=True, help="Go on with a training that was stopped.")
def main(
    checkpoint: Path,
    output: Path,
    data: tuple[Path, ...],
    take: tuple[tuple[str, float], ...],
    together: bool,
    max_pass_tokens: int | None,
    student: Path | None,
    precision: Precision | Literal["auto"],
    device: str | None,
    threads: int | None,
    max_seq_length: int,
    doc_stride: int,
    teacher: tuple[Path, ...],
    hard_weight: float,
    temperature: float,
    hidden_weight: float,
    teacher_cache: Path | None,
    contrast_weight: float | None,
    contrast_temperature: float,
    contrast_negatives: int,
    quantize_bits: int | None,
    quantize_per: str,
    group_size: int,
    quantize_like: Path | None,
    evaluate: Path | None,
    evaluate_limit: int,
    evaluate_steps: int,
    log_steps: int,
    save_minutes: float,
    resume: bool,
    **training: Any,
) -> None:
    """
    Fine-tune the model in CHECKPOINT and write it to OUTPUT.

    \b
    Examples:
      python -m tools.finetune bert-base tuned --data train-v2.0.json --evaluate dev-v2.0.json
      python -m tools.finetune shared-6 tuned-6 --data train-v2.0.json --teacher tuned
      python -m tools.finetune mpnet better-mpnet --data train-v2.0.json --windows-of tuned
    """
    if quantize_bits is not None and quantize_like is not None:
        raise click.UsageError("--quantize-bits and --quantize-like: one of them is enough.")
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    try:
        quantization: Quantization | SameAs | None = None
        if quantize_like is not None:
            quantization = SameAs.read(quantize_like)
        elif quantize_bits is not None:
            quantization = Quantization(
                quantize_bits, quantize_per, group_size if quantize_per == "group" else None
            )
        distillation = DistillationSettings(
            hard_weight=hard_weight, temperature=temperature, hidden_weight=hidden_weight
        )
        plan = Plan(
            data=data,
            take=take,
            together=together,
            training=TrainingSettings(
                precision=best_precision(where) if precision == "auto" else precision,
                max_pass_tokens=(
                    best_pass_tokens(where) if max_pass_tokens is None else max_pass_tokens
                ),
                **training,
            ),
            windows=ReaderSettings(max_seq_length=max_seq_length, doc_stride=doc_stride),
            rhythm=Rhythm(
                log_steps=log_steps,
                save_seconds=60 * save_minutes,
                evaluate_steps=evaluate_steps,
            ),
            evaluation=Evaluation(data=evaluate, limit=evaluate_limit) if evaluate else None,
            teaching=Teaching(
                teachers=teacher,
                settings=distillation,
                cache=teacher_cache,
            )
            if teacher
            else None,
            contrast=ContrastSettings(
                weight=contrast_weight,
                temperature=contrast_temperature,
                negatives=contrast_negatives,
            )
            if contrast_weight is not None
            else None,
            quantization=quantization,
        )
    except (ValueError, CodecError) as error:
        raise click.UsageError(str(error)) from error
    if student is None:
        stage = finetune(checkpoint, output, plan, resume=resume, device=device, threads=threads)
    elif plan.teaching or plan.contrast or plan.quantization or plan.evaluation:
        raise click.UsageError(
            "--windows-of trains a teacher: without --teacher, --contrast-weight, "
            "--quantize-bits, --quantize-like and --evaluate."
        )
    else:
        stage = finetune_teacher(
            checkpoint, output, plan, student=student, resume=resume, device=device
        )
    if os.environ.get("RANK", "0") == "0":  # torchrun's name for the process that reports
        click.echo(f"{output}: {stage['steps']} steps in {stage['seconds']:.0f} s")


if __name__ == "__main__":
    run(main)
