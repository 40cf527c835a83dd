"""
Fine-tuning on SQuAD data: the command line.

    python -m tools.finetune CHECKPOINT OUTPUT --data train-v2.0.json
    torchrun --nproc-per-node 2 -m tools.finetune CHECKPOINT OUTPUT --data train-v2.0.json

Alone, from a teacher (`tools.distill`), at quantized weights (`tools.quantize`), or both.

On a CPU that other programs use too, set OMP_WAIT_POLICY=passive or give each process one thread:
threads that spin while they wait for one another lose nearly all of their time.

Source: Deng & Looi 2020, sections 3.1 and 3.3; the loop is in `tools.training`.
"""

import os
from pathlib import Path
from typing import Any, Literal

import click
import torch

from squadlite.answering.reader import ReaderSettings
from squadlite.errors import CodecError
from squadlite.quantization import Quantization, SameAs
from tools.command import (
    TitleShare,
    checkpoint_argument,
    existing_file,
    existing_folder,
    new_folder,
    output_argument,
    run,
    seed_option,
)
from tools.contrast import ContrastSettings
from tools.distill import DistillationSettings
from tools.plan import Evaluation, Plan, Teaching
from tools.settings import (
    Precision,
    Rhythm,
    TrainingSettings,
    best_pass_tokens,
    best_precision,
)
from tools.student_training import finetune_student
from tools.teacher_training import finetune_teacher


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
@click.option(
    "--batch-size",
    type=int,
    default=12,
    show_default=True,
    help="Windows in a step; questions with --group-passages.",
)
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
@seed_option
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
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    try:
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
            quantization=_quantization(quantize_bits, quantize_per, group_size, quantize_like),
        )
    except (ValueError, CodecError) as error:
        raise click.UsageError(str(error)) from error
    how: dict[str, Any] = {"resume": resume, "device": device, "threads": threads}
    if student is None:
        stage = finetune_student(checkpoint, output, plan, **how)
    elif plan.teaching or plan.contrast or plan.quantization or plan.evaluation:
        raise click.UsageError(
            "--windows-of trains a teacher: without --teacher, --contrast-weight, "
            "--quantize-bits, --quantize-like and --evaluate."
        )
    else:
        stage = finetune_teacher(checkpoint, output, plan, student=student, **how)
    if os.environ.get("RANK", "0") == "0":  # torchrun's name for the process that reports
        click.echo(f"{output}: {stage['steps']} steps in {stage['seconds']:.0f} s")


def _quantization(
    bits: int | None, per: str, group_size: int, like: Path | None
) -> Quantization | SameAs | None:
    if bits is not None and like is not None:
        raise click.UsageError("--quantize-bits and --quantize-like: one of them is enough.")
    if like is not None:
        return SameAs.read(like)
    if bits is not None:
        return Quantization(bits, per, group_size if per == "group" else None)
    return None


if __name__ == "__main__":
    run(main)
