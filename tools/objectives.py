"""A plan's parts, made ready: what is made small, at which weights, and what is scored."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import SquadExample, load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.digests import digest_of
from squadlite.model import QuestionAnsweringModel
from tools.contrast import Contrast
from tools.data import (
    Feature,
    Group,
    TrainingBatch,
    group_features,
    make_features,
    take_share,
)
from tools.distill import Distillation
from tools.evaluation import evaluate_model
from tools.folders import StageInput, digest_folder, digest_values
from tools.plan import Evaluation, Plan, Teaching
from tools.processes import Processes
from tools.progress import asking_bar
from tools.quantize import QuantizedWeights
from tools.soft_targets import SoftTargets
from tools.teacher import Teacher, load_teacher
from tools.teacher_cache import KeptTargets, fill_cache, read_cache
from tools.training import Objective, autocast, hard_objective


def load_training_data(
    plan: Plan, tokenizer: Tokenizer, windows: ReaderSettings
) -> tuple[list[SquadExample], list[Feature], list[Group]]:
    """
    Read a plan's data and cut it into windows.

    Args:
        plan: says which data, and whether a question's passages stand together.
        tokenizer, windows: of the model that reads them.

    Returns:
        Examples, their windows, and groups of these.

    Raises:
        DatasetError: the data can't be trained on.
    """
    examples = [
        example for path in plan.data for example in take_share(load_squad(path), plan.take)
    ]
    features = make_features(examples, tokenizer, windows)
    return examples, features, group_features(features, examples, together=plan.together)


def make_objective(
    start: StageInput,
    examples: Sequence[SquadExample],
    features: Sequence[Feature],
    plan: Plan,
    processes: Processes,
) -> Objective[QuestionAnsweringModel]:
    """
    What a plan makes small: the gold spans' loss, or beside it its teachers', which are asked
    first where their answers are kept.

    Args:
        start: what the training begins with.
        examples, features: the data, and the windows made of it.
        plan, processes: of the training.

    Raises:
        TrainingError: a teacher that doesn't fit.
    """
    if plan.teaching is None:
        return hard_objective
    settings = plan.teaching.settings
    loads = [
        partial(
            load_teacher,
            folder,
            start,
            examples,
            longest=max(map(len, features)),
            same_hidden=settings.hidden_weight > 0,
            device=processes.device,
            precision=plan.training.precision,
        )
        for folder in plan.teaching.teachers
    ]
    if plan.teaching.cache is None or settings.hidden_weight > 0:
        teachers = [load() for load in loads]
        asks = [partial(_ask, teacher, settings.temperature) for teacher in teachers]
        hidden_of = teachers[0].model if settings.hidden_weight > 0 else None
        return Distillation(settings, asks, hidden_of)
    return Distillation(
        settings,
        [
            _kept(plan.teaching.cache / _name(folder, start, plan), load, features, plan, processes)
            for folder, load in zip(plan.teaching.teachers, loads, strict=True)
        ],
    )


def _ask(teacher: Teacher, temperature: float, batch: TrainingBatch) -> SoftTargets:
    return teacher.ask(batch.features, temperature=temperature)


def _kept(
    cache: Path,
    load: Callable[[], Teacher],
    features: Sequence[Feature],
    plan: Plan,
    processes: Processes,
) -> KeptTargets:
    teaching = cast(Teaching, plan.teaching)
    with asking_bar() if processes.is_first else nullcontext() as report:
        fill_cache(
            cache,
            features,
            load,
            temperature=teaching.settings.temperature,
            max_pass_tokens=plan.training.max_pass_tokens,
            processes=processes,
            report=report,
        )
    return read_cache(cache, features)


def _name(teacher: Path, start: StageInput, plan: Plan) -> str:
    # Of all that a teacher's answers depend on.
    teaching = cast(Teaching, plan.teaching)
    windows = plan.windows.within(start.checkpoint.config.max_position_embeddings)
    return digest_values(
        {
            "teacher": digest_folder(teacher),
            "data": [digest_of(path) for path in plan.data],
            "take": [list(item) for item in plan.take],
            "tokenizer": asdict(start.spec),
            "windows": asdict(windows),
            "temperature": teaching.settings.temperature,
            "precision": plan.training.precision,
        }
    )[:32]


def make_contrast(tokenizer: Tokenizer, plan: Plan, processes: Processes) -> Contrast | None:
    """The loss of vectors that a plan asks for; None: it asks for none."""
    if plan.contrast is None:
        return None
    return Contrast(
        plan.contrast,
        tokenizer,
        processes,
        max_pass_tokens=plan.training.max_pass_tokens,
        autocast=partial(autocast, processes.device, plan.training.precision),
    )


def make_quantized(
    model: QuestionAnsweringModel, plan: Plan
) -> Callable[[], AbstractContextManager[Any]]:
    """The context in which gradients are taken at the weights that a plan asks for."""
    if plan.quantization is None:
        return nullcontext
    return QuantizedWeights(model, plan.quantization)


def make_scorer(
    model: QuestionAnsweringModel,
    tokenizer: Tokenizer,
    windows: ReaderSettings,
    evaluation: Evaluation | None,
) -> Callable[[], float] | None:
    """Scores a model in training: F1 on the evaluation's data; None where there is none."""
    if evaluation is None:
        return None
    examples = load_squad(evaluation.data)

    def score() -> float:
        return evaluate_model(model, tokenizer, examples, limit=evaluation.limit, settings=windows)[
            "f1"
        ]

    return score
