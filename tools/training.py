"""The training loop: batches, gradients, steps, and all that lets it stop and go on."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from torch import nn

from squadlite.answering.tokenizer import Tokenizer
from squadlite.model import QuestionAnsweringModel
from squadlite.model.memory import keep_freed_memory
from tools.contrast import Comparison, Contrast
from tools.data import ARTICLE_RUN, Group, TrainingBatch, count_batches, epoch_batches, group_passes
from tools.dropout import dropout
from tools.errors import TrainingError
from tools.losses import group_span_loss
from tools.processes import Processes
from tools.rows import read
from tools.settings import Precision, Rhythm, TrainingSettings
from tools.state import TrainingState, WorkFolder

Model = TypeVar("Model", bound=nn.Module)

# (model, a pass of a batch on the model's device) -> the loss, summed over the pass's groups.
Objective = Callable[[Model, TrainingBatch], torch.Tensor]


def hard_objective(model: QuestionAnsweringModel, batch: TrainingBatch) -> torch.Tensor:
    """The loss of the gold positions."""
    gold = batch.starts, batch.ends
    return group_span_loss(read(model, batch.inputs), batch.attention_mask, gold, batch.groups)


@dataclass(frozen=True)
class _Prepared:
    # A step's batch, the passes of this process's share, and whose vectors are compared.
    batch: Sequence[Group]
    passes: list[TrainingBatch]
    comparison: Comparison | None


class Trainer(Generic[Model]):
    """
    Trains one model.

    While a step is computed, a thread makes the next one's batch ready: a GPU would wait for it.

    Args:
        model: on the device of `processes`; trained in place.
        groups: all of them, in every process.
        tokenizer: knows the special tokens.
        settings: how to train.
        rhythm: how often to log, save and evaluate.
        processes: this process among its like.
        work: where state, log and best checkpoint are kept.
        objective: what is made small.
        lay_out: makes what the model reads of a pass as students read it; the pass itself unless
            another one is given.
        contrast: the loss of questions' and passages' vectors beside it, of a model of ours; None:
            none.
        quantized: a context in which the model has the weights that gradients are taken at;
            None: its own.
        evaluate: scores the model as it is, higher is better; None: the last weights are kept.
        report: called after each step with the share done, the loss, the rate and tokens/s.
    """

    def __init__(
        self,
        model: Model,
        groups: Sequence[Group],
        tokenizer: Tokenizer,
        settings: TrainingSettings,
        *,
        rhythm: Rhythm,
        processes: Processes,
        work: WorkFolder,
        objective: Objective[Model],
        lay_out: Callable[[TrainingBatch], TrainingBatch] = lambda part: part,
        contrast: Contrast | None = None,
        quantized: Callable[[], AbstractContextManager[Any]] = nullcontext,
        evaluate: Callable[[], float] | None = None,
        report: Callable[[float, float, float, float], None] | None = None,
    ) -> None:
        if processes.device.type == "cpu":
            keep_freed_memory()
        self.model = model
        self.groups = groups
        self.tokenizer = tokenizer
        self.settings = settings
        self.rhythm = rhythm
        self.processes = processes
        self.work = work
        self.objective = objective
        self.lay_out = lay_out
        self.contrast = contrast
        self.quantized = quantized
        self.evaluate = evaluate
        self.report = report
        self.steps_per_epoch = count_batches(len(groups), settings.batch_size)
        self.schedule = settings.schedule(self.steps_per_epoch)
        self.optimizer = _make_optimizer(model, settings)
        self._gradients = _make_gradients(model)
        self.best_score: float | None = None
        self.step = 0
        self.tokens = 0  # read, over all runs
        self._tokens_before = 0  # of runs that were stopped
        self._recent_losses: list[float] = []  # since the last line of the log
        self._seconds_before = 0.0  # of runs that were stopped
        self._started = self._saved = time.monotonic()
        self._epoch: tuple[int, list[Sequence[Group]]] = (-1, [])
        self._ahead = ThreadPoolExecutor(max_workers=1)
        self._next: tuple[int, Future[_Prepared]] | None = None

    def train(self, state: TrainingState | None = None) -> dict[str, torch.Tensor]:
        """
        Train to the end of the schedule.

        Args:
            state: where an earlier run stopped; None: begin.

        Returns:
            The model's weights by name: the best where there are evaluations, else the last.

        Raises:
            TrainingError: a loss or gradient that isn't a number.
        """
        if state is not None:
            self._restore(state)
        self._started = self._saved = time.monotonic()
        with dropout(self.model.train(), self.settings.dropout):
            while self.schedule.progress(self.step, seconds := self._seconds()) < 1:
                rate = self.schedule.rate(self.step, seconds)
                loss = self._take_step(rate)
                self.step += 1
                self._tell(loss, rate)
                if self.step % self.rhythm.evaluate_steps == 0:
                    self._keep_best()
                self._save_now_and_then()
        if self.step % self.rhythm.evaluate_steps:
            self._keep_best()
        if self.best_score is not None:
            self.processes.wait()
            return self.work.load_best()
        return self._weights()

    def summary(self) -> dict[str, float | int | None]:
        """What the training took and gave."""
        return {
            "steps": self.step,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "tokens_per_second": round(self.tokens_per_second, 1),
            "best_score": self.best_score,
        }

    @property
    def seconds(self) -> float:
        """Time spent, over all runs."""
        return self._seconds_before + time.monotonic() - self._started

    @property
    def tokens_per_second(self) -> float:
        """Tokens read a second, padding left out, in this run."""
        return (self.tokens - self._tokens_before) / (time.monotonic() - self._started)

    def _seconds(self) -> float:
        # Processes must agree when the budget ends; without one the time decides nothing.
        if self.settings.max_seconds is None:
            return self.seconds
        return self.processes.agree(self.seconds)

    def _take_step(self, rate: float) -> float:
        settings, processes = self.settings, self.processes
        prepared = self._prepared(self.step)
        batch = prepared.batch
        self._seed_step()
        loss = torch.zeros((), device=processes.device)
        with self.quantized():
            # Weights are rounded once for all passes.
            with autocast(processes.device, settings.precision):
                for part in prepared.passes:
                    part_loss = self.objective(self.model, part.to(processes.device)) / len(batch)
                    with torch.autocast(processes.device.type, enabled=False):
                        part_loss.backward()  # type: ignore[no-untyped-call]
                    loss += part_loss.detach()
            if self.contrast is not None and prepared.comparison is not None:
                model = cast(QuestionAnsweringModel, self.model)
                loss += self.contrast.backward(model, prepared.comparison)
        processes.add_up([loss, *self._gradients])
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.max_gradient_norm)
        self._check(float(loss), float(norm))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)
        self.tokens += sum(map(len, batch))
        return float(loss)

    def _prepared(self, step: int) -> _Prepared:
        number, waiting = self._next or (-1, None)
        found = waiting.result() if waiting is not None and number == step else self._prepare(step)
        if step + 1 < self.schedule.total_steps:
            self._next = step + 1, self._ahead.submit(self._prepare, step + 1)
        return found

    def _prepare(self, step: int) -> _Prepared:
        batch = self._batch(step)
        own = self.processes.share(batch)
        parts = group_passes(own, self.settings.max_pass_tokens, self.tokenizer)
        passes = [self.lay_out(part) for part in parts]
        comparison = self.contrast.compare(batch) if self.contrast is not None else None
        return _Prepared(batch, passes, comparison)

    def _batch(self, step: int) -> Sequence[Group]:
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._epoch[0] != epoch:
            batches = epoch_batches(
                self.groups,
                batch_size=self.settings.batch_size,
                seed=self.settings.seed,
                epoch=epoch,
                article_run=ARTICLE_RUN if self.contrast is not None else 1,
                max_windows=self.settings.max_group_windows,
            )
            self._epoch = epoch, batches
        return self._epoch[1][place]

    def _seed_step(self) -> None:
        # A step's random numbers follow from its number, so that there is no generator to resume.
        key = (self.settings.seed, self.step, self.processes.rank)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))

    def _check(self, loss: float, norm: float) -> None:
        for name, value in (("loss", loss), ("gradient norm", norm)):
            if not math.isfinite(value):
                raise TrainingError(
                    f"step {self.step + 1}: found a {name} of {value}, expected a number; "
                    "a lower learning rate may help"
                )

    def _tell(self, loss: float, rate: float) -> None:
        if not self.processes.is_first:
            return
        self._recent_losses.append(loss)
        seconds = self.seconds
        if self.report is not None:
            progress = self.schedule.progress(self.step, seconds)
            self.report(progress, loss, rate, self.tokens_per_second)
        # The last step too, but for a budget that ends between this look at the clock and the next.
        is_last = self.schedule.progress(self.step, seconds) == 1
        if self.step % self.rhythm.log_steps == 0 or is_last:
            self.work.log(
                step=self.step,
                epoch=self.step / self.steps_per_epoch,
                loss=sum(self._recent_losses) / len(self._recent_losses),
                rate=rate,
                seconds=round(seconds, 3),
            )
            self._recent_losses.clear()

    def _keep_best(self) -> None:
        if self.evaluate is None:
            return
        if self.processes.is_first:
            with self.quantized():
                score = self.evaluate()
            self.work.log(step=self.step, score=score, seconds=round(self.seconds, 3))
            if self.best_score is None or score > self.best_score:
                self.best_score = score
                self.work.save_best(self._weights())
        self.best_score = self.processes.agree(self.best_score or 0.0)

    def _save_now_and_then(self) -> None:
        if self.processes.is_first and time.monotonic() - self._saved >= self.rhythm.save_seconds:
            weights = {name: tensor.detach() for name, tensor in self.model.named_parameters()}
            self.work.save(
                TrainingState(
                    step=self.step,
                    seconds=self.seconds,
                    tokens=self.tokens,
                    weights=weights,
                    optimizer=self.optimizer.state_dict(),
                    best_score=self.best_score,
                    recent_losses=self._recent_losses,
                )
            )
            self._saved = time.monotonic()

    def _restore(self, state: TrainingState) -> None:
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(state.weights[name])
        self.optimizer.load_state_dict(state.optimizer)
        self.step, self._seconds_before = state.step, state.seconds
        self.tokens = self._tokens_before = state.tokens
        self.best_score = state.best_score
        self._recent_losses = list(state.recent_losses)
        if self.processes.is_first:
            self.work.cut_log(state.step)

    def _weights(self) -> dict[str, torch.Tensor]:
        with self.quantized():
            return {
                name: tensor.detach().cpu().clone()
                for name, tensor in self.model.state_dict().items()
            }


def trainable_model(
    model: QuestionAnsweringModel, device: torch.device, *, freeze_embeddings: bool
) -> QuestionAnsweringModel:
    """Make a loaded model ready to be trained: on its device, with gradients."""
    model = model.to(device).requires_grad_(True)
    model.embeddings.requires_grad_(not freeze_embeddings)
    # Of a vocabulary few words occur in a pass: on a CPU clearing and adding gradients of all of
    # them takes longer than a layer's products.
    model.embeddings.word.sparse = device.type == "cpu"
    return model


def _make_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _make_gradients(model: nn.Module) -> list[torch.Tensor]:
    # Kept from step to step, since clearing them costs less than fresh memory.
    gradients = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
    return gradients


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """The context that a model computes in when it trains in a precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
