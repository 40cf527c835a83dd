"""
Tokens a second of training, beside transformers' Trainer: same model, windows, batch and precision.

    python -m benchmarks.training ../shared/checkpoints/minilm-l6-squad2 \\
        --data ../shared/data/train-mix-v2.0.json

Both train for one epoch on the same windows, in turns. Tokens are counted without padding: that
less of it is computed is part of the difference. Beside the time on the clock stands the
processor's, of all threads, which means more where other programs keep the cores busy. Both run in
one process: what ours asks of the C library's memory (`squadlite.model.memory`) serves theirs too.

    python -m benchmarks.training ... --memory-steps 2000 --batch-size 2

trains ours alone, in batches of ever other shapes, and tells how much memory the process holds
along the way.

Needs `pip install .[bench]`.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import click
import torch
from transformers import (
    AutoTokenizer,
    BertForQuestionAnswering,
    DataCollatorWithPadding,
    TrainingArguments,
)
from transformers import Trainer as HuggingTrainer

from benchmarks.serve import memory
from squadlite.answering.evaluate import spread
from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.cli.output import print_json, print_table
from squadlite.model import model_from_checkpoint
from tools.command import existing_file, existing_folder, run
from tools.data import Feature, alone, count_batches, make_features, passes
from tools.folders import load_input
from tools.processes import Processes
from tools.settings import Precision, Rhythm, TrainingSettings, best_precision
from tools.state import WorkFolder
from tools.training import Trainer, hard_objective, trainable_model

LEARNING_RATE = 3e-5
MEMORY_LOOKS = 20  # at the memory, over a training


@dataclass(frozen=True)
class Setting:
    """What is trained, on what, and how, the same for both."""

    checkpoint: Path
    features: Sequence[Feature]
    batch_size: int
    dropout: float
    precision: Precision


@dataclass(frozen=True)
class Taken:
    """What a training took: seconds on the clock, and of the processor."""

    seconds: float
    processor: float


@click.command()
@click.argument("checkpoint", type=existing_folder)
@click.option("--data", type=existing_file, required=True)
@click.option("--questions", type=int, default=200, show_default=True)
@click.option("--batch-size", type=int, default=12, show_default=True)
@click.option("--rounds", type=int, default=3, show_default=True)
@click.option("--dropout", type=float, default=0.0, show_default=True)
@click.option(
    "--precision",
    type=click.Choice(["auto", "f32", "bf16"]),
    default="auto",
    show_default=True,
    help="auto: bf16 where the processor is made for it.",
)
@click.option("--threads", type=click.IntRange(min=1), help="[default: one per core]")
@click.option(
    "--memory-steps",
    type=click.IntRange(min=MEMORY_LOOKS),
    help="Train ours alone for so many steps, and tell the memory it holds; Linux only.",
)
def main(
    checkpoint: Path,
    data: Path,
    questions: int,
    batch_size: int,
    rounds: int,
    dropout: float,
    precision: Precision | Literal["auto"],
    threads: int | None,
    memory_steps: int | None,
) -> None:
    """Measure training CHECKPOINT on a CPU."""
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = best_precision(torch.device("cpu")) if precision == "auto" else precision
    tokenizer = Tokenizer(load_input(checkpoint).spec)
    examples = spread(load_squad(data), questions)
    features = make_features(examples, tokenizer, ReaderSettings())
    setting = Setting(checkpoint, features, batch_size, dropout, chosen)
    if memory_steps is None:
        _race(setting, tokenizer, rounds)
    else:
        _watch_memory(setting, tokenizer, memory_steps)


def _race(setting: Setting, tokenizer: Tokenizer, rounds: int) -> None:
    tokens = sum(map(len, setting.features))
    rivals: dict[str, Callable[[], Taken]] = {
        "squadlite": lambda: _train_ours(setting, tokenizer),
        "transformers": lambda: _train_theirs(setting, tokenizer),
    }
    taken: dict[str, list[Taken]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, train in rivals.items():
            taken[name].append(train())
    speeds = {name: [tokens / each.seconds for each in all_] for name, all_ in taken.items()}
    processor = {name: [tokens / each.processor for each in all_] for name, all_ in taken.items()}
    rows = {name: median(values) for name, values in speeds.items()}
    processor_rows = {name: median(values) for name, values in processor.items()}
    ratio = rows["squadlite"] / rows["transformers"]
    processor_ratio = processor_rows["squadlite"] / processor_rows["transformers"]
    print_table(
        ["Trainer", "Tokens/s", "Tokens/s of the processor"],
        [[name, f"{rows[name]:,.0f}", f"{processor_rows[name]:,.0f}"] for name in rivals],
    )
    click.echo(
        f"squadlite is {ratio:.2f} times as fast, by the processor's time {processor_ratio:.2f}, "
        f"in {setting.precision} on {_threads()}."
    )
    print_json(
        {
            "benchmark": "training",
            "tokens_per_second": rows,
            "all": speeds,
            "ratio": ratio,
            "tokens_per_processor_second": processor_rows,
            "all_by_processor": processor,
            "processor_ratio": processor_ratio,
            "dropout": setting.dropout,
            "precision": setting.precision,
            "batch_size": setting.batch_size,
            "windows": len(setting.features),
            "threads": torch.get_num_threads(),
        }
    )


def _watch_memory(setting: Setting, tokenizer: Tokenizer, steps: int) -> None:
    held: dict[int, float] = {}
    done = 0

    def look(*_: float) -> None:
        nonlocal done
        done += 1
        if done % (steps // MEMORY_LOOKS) == 0 or done in (1, steps):
            held[done] = memory(os.getpid())
            click.echo(f"step {done}: {held[done]:,.0f} MB")

    per_epoch = count_batches(len(setting.features), setting.batch_size)
    taken = _train_ours(setting, tokenizer, epochs=steps / per_epoch, report=look)
    print_json(
        {
            "benchmark": "training memory",
            "megabytes": held,
            "processor_seconds": taken.processor,
            "dropout": setting.dropout,
            "precision": setting.precision,
            "batch_size": setting.batch_size,
            "windows": len(setting.features),
            "threads": torch.get_num_threads(),
        }
    )


def _train_ours(
    setting: Setting,
    tokenizer: Tokenizer,
    *,
    epochs: float = 1,
    report: Callable[[float, float, float, float], None] | None = None,
) -> Taken:
    device = torch.device("cpu")
    model = trainable_model(
        model_from_checkpoint(load_input(setting.checkpoint).checkpoint),
        device,
        freeze_embeddings=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        work = WorkFolder(Path(folder) / "out", {})
        work.prepare(resume=False)
        trainer = Trainer(
            model,
            alone(setting.features),
            tokenizer,
            TrainingSettings(
                epochs=epochs,
                batch_size=setting.batch_size,
                learning_rate=LEARNING_RATE,
                dropout=setting.dropout,
                precision=setting.precision,
            ),
            rhythm=Rhythm(),
            processes=Processes(0, 1, device),
            work=work,
            objective=hard_objective,
            report=report,
        )
        return _timed(trainer.train)


def _train_theirs(setting: Setting, tokenizer: Tokenizer) -> Taken:
    checkpoint = setting.checkpoint
    model = BertForQuestionAnswering.from_pretrained(
        checkpoint,
        dtype=torch.float32,
        hidden_dropout_prob=setting.dropout,
        attention_probs_dropout_prob=0.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = HuggingTrainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                num_train_epochs=1,
                per_device_train_batch_size=setting.batch_size,
                learning_rate=LEARNING_RATE,
                weight_decay=0.01,
                bf16=setting.precision == "bf16",
                use_cpu=True,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
            train_dataset=[_as_example(feature, tokenizer) for feature in setting.features],
            data_collator=DataCollatorWithPadding(AutoTokenizer.from_pretrained(checkpoint)),
        )
        return _timed(trainer.train)


def _timed(train: Callable[[], Any]) -> Taken:
    began, processor = time.perf_counter(), time.process_time()
    train()
    return Taken(time.perf_counter() - began, time.process_time() - processor)


def _as_example(feature: Feature, tokenizer: Tokenizer) -> dict[str, Any]:
    (batch,) = passes([feature], len(feature), tokenizer)
    return {
        "input_ids": batch.input_ids[0].tolist(),
        "token_type_ids": batch.token_type_ids[0].tolist(),
        "attention_mask": batch.attention_mask[0].long().tolist(),
        "start_positions": feature.start,
        "end_positions": feature.end,
    }


def _threads() -> str:
    count = torch.get_num_threads()
    return f"{count} thread" if count == 1 else f"{count} threads"


if __name__ == "__main__":
    run(main)
