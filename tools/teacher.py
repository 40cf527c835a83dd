"""
Teachers: question-answering models of any kind, asked about a student's windows.

A checkpoint folder of one of our families (`squadlite.families`) is loaded as all stages do; any
other by transformers (`tools.transformers_teacher`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from squadlite.answering.squad import SquadExample
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.windows import Template, batches_by_length
from squadlite.model import model_from_checkpoint
from tools.alignment import NOWHERE, Aligner, TeacherTokenizer, TeacherWindow, same_tokens
from tools.data import Feature
from tools.errors import TrainingError
from tools.folders import StageInput, is_ours, load_input
from tools.settings import Precision
from tools.soft_targets import SoftTargets
from tools.transformers_teacher import load_transformers_teacher

# Windows with tokens of the teacher's own are padded to multiples of it: kernels are compiled for
# fewer shapes, and on a GPU a bias of other lengths would be copied to be aligned.
LENGTH_STEP = 16


class Teacher:
    """
    A model that is asked about a student's windows.

    Args:
        folder: where it comes from, for errors.
        model: (input_ids, token_type_ids, attention_mask) -> start and end logits, (B, T) each.
        n_positions: tokens of the longest window that it can read.
        template: its special tokens.
        align: makes its windows of a student's.
        device: where it computes.
        precision: what it computes in.
        length_step: windows are padded to multiples of it.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        *,
        n_positions: int,
        template: Template,
        align: Callable[[Sequence[Feature]], list[TeacherWindow]],
        device: torch.device,
        precision: Precision,
        length_step: int = 1,
    ) -> None:
        self.folder = folder
        self.model = model.to(device).requires_grad_(False).eval()
        self.n_positions = n_positions
        self.template = template
        self.align = align
        self.device = device
        self.precision = precision
        self.length_step = length_step
        if precision == "bf16":
            # Autocast would make them so again in every pass.
            for module in model.modules():
                if isinstance(module, nn.Linear):
                    module.to(torch.bfloat16)

    def ask(self, features: Sequence[Feature], *, temperature: float) -> SoftTargets:
        """
        Read some windows at once.

        Args:
            features: the student's windows.
            temperature: divides the logits.

        Returns:
            What the teacher says of them, in order; nothing of a window that is longer for the
            teacher than its positions.

        Raises:
            TrainingError: logits that are not finite.
        """
        return self._ask(self.align(features), temperature)

    def ask_by_length(
        self, features: Sequence[Feature], *, temperature: float, max_pass_tokens: int
    ) -> Iterator[tuple[list[Feature], SoftTargets]]:
        """
        Read any number of windows, those of like length together.

        Args:
            features, temperature: see `ask`.
            max_pass_tokens: tokens, padding included, that go through the model at once.

        Yields:
            Some of the windows, and what the teacher says of them.
        """
        for windows in batches_by_length(self.align(features), max_pass_tokens):
            yield [window.feature for window in windows], self._ask(windows, temperature)

    def _ask(self, windows: Sequence[TeacherWindow], temperature: float) -> SoftTargets:
        inputs, places = lay_out(windows, self.n_positions, self.template.pad_id, self.length_step)
        with (
            torch.no_grad(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            logits = torch.stack(self.model(*(part.to(self.device) for part in inputs)))
        # On the CPU: a GPU adds up in another order each time.
        logits = logits.float().cpu()
        if not logits[:, inputs[2]].isfinite().all():
            raise TrainingError(
                f"teacher {self.folder}: found logits that are not finite: its weights are damaged"
            )
        n_student = max(len(window.feature) for window in windows)
        laid_on = lay_on(logits / temperature, places, n_student)
        read_whole = [len(window) <= self.n_positions for window in windows]
        return SoftTargets.of(laid_on * torch.tensor(read_whole)[:, None])


def lay_out(
    windows: Sequence[TeacherWindow], n_positions: int, pad_id: int, length_step: int
) -> tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """
    Pad windows as their teacher reads them.

    Args:
        windows: B of them, cut to `n_positions`.
        n_positions: tokens that the teacher can read.
        pad_id: of the teacher.
        length_step: they are padded to a multiple of it, as far as there are positions.

    Returns:
        The model's inputs, (B, N) each: ids, type ids and the mask; and (2, B, N) the places in
        the student's windows that a start and an end at each token mean.
    """
    lengths = [min(len(window), n_positions) for window in windows]
    shape = len(windows), min(-(-max(lengths) // length_step) * length_step, n_positions)
    ids = np.full(shape, pad_id, dtype=np.int64)
    type_ids = np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.bool_)
    places = np.full((2, *shape), NOWHERE, dtype=np.int64)
    for row, (window, length) in enumerate(zip(windows, lengths, strict=True)):
        ids[row, :length] = window.ids[:length]
        type_ids[row, :length] = window.type_ids[:length]
        mask[row, :length] = True
        places[0, row, :length] = window.starts[:length]
        places[1, row, :length] = window.ends[:length]
    inputs = torch.from_numpy(ids), torch.from_numpy(type_ids), torch.from_numpy(mask)
    return inputs, torch.from_numpy(places)


def lay_on(logits: torch.Tensor, places: torch.Tensor, n_tokens: int) -> torch.Tensor:
    """
    Move a teacher's distributions onto its student's tokens.

    Args:
        logits: (..., N), the teacher's.
        places: (..., N) int64, the student's token for each of the teacher's; NOWHERE for one that
            is left out, such as padding.
        n_tokens: the student's tokens, T.

    Returns:
        (..., T) probabilities: the sum over the teacher's tokens with that place.
    """
    kept = logits.masked_fill(places == NOWHERE, -torch.inf).softmax(dim=-1)
    laid_on = torch.zeros(*logits.shape[:-1], n_tokens)
    return laid_on.scatter_add_(-1, places.clamp(min=0), kept)


def load_teacher(
    folder: Path,
    student: StageInput,
    examples: Sequence[SquadExample],
    *,
    longest: int,
    same_hidden: bool,
    device: torch.device,
    precision: Precision,
) -> Teacher:
    """
    Load a teacher and see that it fits its student.

    Args:
        folder: a checkpoint folder of our kind, or any other that transformers loads.
        student: what the student begins with.
        examples: that the student's windows are made of.
        longest: tokens of the longest of these.
        same_hidden: whether hidden states are to be compared.
        device, precision: where and in what the teacher computes.

    Raises:
        CheckpointError, TokenizerError: a folder of our kind that can't be loaded.
        TrainingError: another folder that can't be, or a teacher with too few positions, or whose
            hidden states don't compare.
    """
    if is_ours(folder):
        start = load_input(folder)
        model: nn.Module = model_from_checkpoint(start.checkpoint)
        n_positions = start.checkpoint.config.max_position_embeddings
        tokenizer = TeacherTokenizer.of(Tokenizer(start.spec))
        has_same_tokens = _spelled(start.spec) == _spelled(student.spec)
    else:
        start = None
        model, tokenizer, n_positions = load_transformers_teacher(folder)
        has_same_tokens = False
    student_tokenizer = Tokenizer(student.spec)
    needed = longest - student_tokenizer.template.n_special + tokenizer.template.n_special
    if n_positions < needed:
        raise TrainingError(
            f"teacher {folder}: found {n_positions} positions, expected {needed} at least for "
            f"windows of {longest} tokens"
        )
    if same_hidden:
        _check_hidden(folder, start if has_same_tokens else None, student)
    return Teacher(
        folder,
        model,
        n_positions=n_positions,
        template=tokenizer.template,
        align=partial(same_tokens, template=tokenizer.template)
        if has_same_tokens
        else Aligner(examples, student_tokenizer, tokenizer),
        device=device,
        precision=precision,
        # Hidden states are compared token by token.
        length_step=1 if has_same_tokens else LENGTH_STEP,
    )


def _spelled(spec: TokenizerSpec) -> TokenizerSpec:
    # What decides about tokens: not which numbers they had before a vocabulary was pruned.
    return replace(spec, kept_ids=None)


def _check_hidden(folder: Path, teacher: StageInput | None, student: StageInput) -> None:
    if teacher is None:
        raise TrainingError(
            f"teacher {folder}: found other tokens than {student.folder} has, "
            "expected the same to compare hidden states"
        )
    for name in ("hidden_size", "num_layers"):
        found = getattr(teacher.checkpoint.config, name)
        expected = getattr(student.checkpoint.config, name)
        if found != expected:
            raise TrainingError(
                f"teacher {folder}: found {name} {found}, expected {expected}, "
                "the student's, to compare hidden states"
            )
