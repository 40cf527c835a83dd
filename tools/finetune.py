"""
Fine-tuning on SQuAD data.

    python -m tools.finetune CHECKPOINT OUTPUT --data train-v2.0.json
    torchrun --nproc-per-node 2 -m tools.finetune CHECKPOINT OUTPUT --data train-v2.0.json

Source: Deng & Looi 2020, section 3.1; the loop is in `tools.training`.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import click
import torch

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.model import QuestionAnsweringModel, model_from_checkpoint
from tools.command import checkpoint_argument, existing_file, output_argument, run
from tools.data import make_features
from tools.evaluation import evaluate_model
from tools.folders import digest_file, digest_folder, load_input, write_output
from tools.processes import Processes
from tools.progress import training_bar
from tools.settings import Precision, Rhythm, TrainingSettings, best_precision
from tools.state import WorkFolder
from tools.training import Trainer, trainable_model


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """
    What a model in training is scored on.

    Args:
        data: a SQuAD file.
        limit: take this many of its questions, spread evenly; None: all.
    """

    data: Path
    limit: int | None


def finetune(
    source: Path,
    output: Path,
    data: Path,
    settings: TrainingSettings,
    *,
    windows: ReaderSettings | None = None,
    rhythm: Rhythm | None = None,
    evaluation: EvaluationSettings | None = None,
    resume: bool = False,
    device: str | None = None,
) -> dict[str, Any]:
    """
    Train the model of a checkpoint folder.

    Args:
        source, output: checkpoint folders; `output` is replaced when the training is done.
        data: a SQuAD file.
        settings: how to train.
        windows: lengths of windows, questions and strides; None: BERT's.
        rhythm: how often to log, save and evaluate; None: its defaults.
        evaluation: what to choose the best checkpoint by; None: the last one is kept.
        resume: go on with a training that was stopped.
        device: "cpu" or "cuda"; None: CUDA where there is one.

    Returns:
        What `output`/stage.json says: settings, steps, seconds, tokens/s, the best score.

    Raises:
        CheckpointError, TokenizerError: the folder can't be loaded.
        DatasetError: the data can't be trained on.
        TrainingError: a loss that isn't a number, or a state of another training.
    """
    with Processes.joined(device) as processes, training_bar() as report:
        start = load_input(source)
        model = trainable_model(
            model_from_checkpoint(start.checkpoint),
            processes.device,
            freeze_embeddings=settings.freeze_embeddings,
        )
        tokenizer = Tokenizer(start.spec)
        windows = (windows or ReaderSettings()).within(model.config.max_position_embeddings)
        rhythm = rhythm or Rhythm()
        work = WorkFolder(output, _inputs(source, data, settings, windows, rhythm, evaluation))
        if processes.is_first:
            work.prepare(resume=resume)
        processes.wait()
        trainer = Trainer(
            model,
            make_features(load_squad(data), tokenizer, windows),
            tokenizer,
            settings,
            rhythm=rhythm,
            processes=processes,
            work=work,
            evaluate=_scorer(model, tokenizer, windows, evaluation),
            report=report if processes.is_first else None,
        )
        checkpoint = trainer.train(work.load())
        stage = {
            "stage": "finetune",
            **work.inputs,
            "processes": processes.size,
            "device": processes.device.type,
            "num_windows": len(trainer.features),
            "num_answerable": sum(feature.has_answer for feature in trainer.features),
            **trainer.summary(),
        }
        if processes.is_first:
            with write_output(output, checkpoint, stage, source=start.folder) as folder:
                if work.log_path.is_file():
                    shutil.copyfile(work.log_path, folder / work.log_path.name)
            work.remove()
        processes.wait()
    return stage


@click.command()
@checkpoint_argument
@output_argument
@click.option("--data", type=existing_file, required=True, help="SQuAD file to train on.")
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
    default=8192,
    show_default=True,
    help="Tokens that go through the model at once; larger batches are accumulated.",
)
@click.option(
    "--max-seconds", type=float, help="Time budget; the schedule is shortened to end in it."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--precision",
    type=click.Choice(["auto", "f32", "bf16"]),
    default="auto",
    show_default=True,
    help="What the model computes in; auto: bf16 where the device is made for it.",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="[default: cuda if there]")
@click.option("--max-seq-length", type=int, default=384, show_default=True)
@click.option("--doc-stride", type=int, default=128, show_default=True)
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
    data: Path,
    precision: Precision | Literal["auto"],
    device: str | None,
    max_seq_length: int,
    doc_stride: int,
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
    Example:
      python -m tools.finetune bert-base tuned --data train-v2.0.json --evaluate dev-v2.0.json
    """
    try:
        settings = TrainingSettings(precision=_precision(precision, device), **training)
        rhythm = Rhythm(
            log_steps=log_steps, save_seconds=60 * save_minutes, evaluate_steps=evaluate_steps
        )
        windows = ReaderSettings(max_seq_length=max_seq_length, doc_stride=doc_stride)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    stage = finetune(
        checkpoint,
        output,
        data,
        settings,
        windows=windows,
        rhythm=rhythm,
        evaluation=EvaluationSettings(data=evaluate, limit=evaluate_limit) if evaluate else None,
        resume=resume,
        device=device,
    )
    click.echo(f"{output}: {stage['steps']} steps in {stage['seconds']:.0f} s")


def _precision(name: Precision | Literal["auto"], device: str | None) -> Precision:
    if name != "auto":
        return name
    return best_precision(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))


def _inputs(
    source: Path,
    data: Path,
    settings: TrainingSettings,
    windows: ReaderSettings,
    rhythm: Rhythm,
    evaluation: EvaluationSettings | None,
) -> dict[str, Any]:
    # All that decides which weights come out.
    inputs = {
        "source": digest_folder(source),
        "data": digest_file(data),
        "settings": asdict(settings),
        "max_seq_length": windows.max_seq_length,
        "doc_stride": windows.doc_stride,
    }
    if evaluation is not None:
        inputs["evaluation"] = {
            "data": digest_file(evaluation.data),
            "limit": evaluation.limit,
            "steps": rhythm.evaluate_steps,
        }
    return inputs


def _scorer(
    model: QuestionAnsweringModel,
    tokenizer: Tokenizer,
    windows: ReaderSettings,
    evaluation: EvaluationSettings | None,
) -> Callable[[], float] | None:
    if evaluation is None:
        return None
    examples = load_squad(evaluation.data)

    def score() -> float:
        return evaluate_model(model, tokenizer, examples, limit=evaluation.limit, settings=windows)[
            "f1"
        ]

    return score


if __name__ == "__main__":
    run(main)
