"""
Tokens a second of training, beside transformers' Trainer: same model, windows, batch and precision.

    python -m benchmarks.training ../shared/checkpoints/minilm-l6-squad2 \\
        --data ../shared/data/train-mix-v2.0.json

Both train for one epoch on the same windows, in turns. Tokens are counted without padding: that
less of it is computed is part of the difference. Needs `pip install .[bench]`.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from transformers import (
    AutoTokenizer,
    BertForQuestionAnswering,
    DataCollatorWithPadding,
    TrainingArguments,
)
from transformers import Trainer as HuggingTrainer

from squadlite.answering.evaluate import spread
from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.cli.output import print_json, print_table
from squadlite.model import model_from_checkpoint
from tools.data import Feature, alone, make_features, passes
from tools.folders import load_input
from tools.processes import Processes
from tools.settings import Precision, Rhythm, TrainingSettings, best_precision
from tools.state import WorkFolder
from tools.training import Trainer, hard_objective, trainable_model

LEARNING_RATE = 3e-5


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--questions", type=int, default=200, show_default=True)
@click.option("--batch-size", type=int, default=12, show_default=True)
@click.option("--rounds", type=int, default=3, show_default=True)
@click.option("--precision", type=click.Choice(["auto", "f32", "bf16"]), default="auto")
def main(
    checkpoint: Path,
    data: Path,
    questions: int,
    batch_size: int,
    rounds: int,
    precision: str,
) -> None:
    """Measure training CHECKPOINT on a CPU."""
    device = torch.device("cpu")
    chosen: Precision = "f32" if precision == "f32" else best_precision(device)
    start = load_input(checkpoint)
    tokenizer = Tokenizer(start.spec)
    examples = spread(load_squad(data), questions)
    features = make_features(examples, tokenizer, ReaderSettings())
    tokens = sum(map(len, features))
    rivals: dict[str, Callable[[], float]] = {
        "squadlite": lambda: _time_ours(checkpoint, features, batch_size, chosen),
        "transformers": lambda: _time_theirs(checkpoint, features, tokenizer, batch_size, chosen),
    }
    speeds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, measure in rivals.items():
            speeds[name].append(tokens / measure())
    rows = {name: median(values) for name, values in speeds.items()}
    ratio = rows["squadlite"] / rows["transformers"]
    print_table(["Trainer", "Tokens/s"], [[name, f"{speed:,.0f}"] for name, speed in rows.items()])
    click.echo(f"squadlite is {ratio:.2f} times as fast, in {chosen} on {_threads()}.")
    print_json(
        {
            "benchmark": "training",
            "tokens_per_second": rows,
            "all": speeds,
            "ratio": ratio,
            "precision": chosen,
            "batch_size": batch_size,
            "windows": len(features),
            "threads": torch.get_num_threads(),
        }
    )


def _time_ours(
    checkpoint: Path, features: Sequence[Feature], batch_size: int, precision: Precision
) -> float:
    start = load_input(checkpoint)
    device = torch.device("cpu")
    model = trainable_model(
        model_from_checkpoint(start.checkpoint), device, freeze_embeddings=False
    )
    with tempfile.TemporaryDirectory() as folder:
        work = WorkFolder(Path(folder) / "out", {})
        work.prepare(resume=False)
        trainer = Trainer(
            model,
            alone(features),
            Tokenizer(start.spec),
            TrainingSettings(
                epochs=1,
                batch_size=batch_size,
                learning_rate=LEARNING_RATE,
                dropout=0.0,
                precision=precision,
            ),
            rhythm=Rhythm(),
            processes=Processes(0, 1, device),
            work=work,
            objective=hard_objective,
        )
        began = time.perf_counter()
        trainer.train()
        return time.perf_counter() - began


def _time_theirs(
    checkpoint: Path,
    features: Sequence[Feature],
    tokenizer: Tokenizer,
    batch_size: int,
    precision: Precision,
) -> float:
    model = BertForQuestionAnswering.from_pretrained(
        checkpoint, dtype=torch.float32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = HuggingTrainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                num_train_epochs=1,
                per_device_train_batch_size=batch_size,
                learning_rate=LEARNING_RATE,
                weight_decay=0.01,
                bf16=precision == "bf16",
                use_cpu=True,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
            train_dataset=[_as_example(feature, tokenizer) for feature in features],
            data_collator=DataCollatorWithPadding(AutoTokenizer.from_pretrained(checkpoint)),
        )
        began = time.perf_counter()
        trainer.train()
        return time.perf_counter() - began


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
    main()
