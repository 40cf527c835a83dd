"""How a folder's special tokens stand around a question and its context."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from squadlite.answering.tokenizer_folder.base import (
    CONFIG_JSON,
    MERGES_TXT,
    TOKENIZER_JSON,
    check_types,
    kind_of,
    read_json,
    refuse,
)
from squadlite.answering.windows import TEMPLATES
from squadlite.errors import CheckpointError

_PROCESSORS = {"BertProcessing": "bert", "RobertaProcessing": "roberta"}
_ROLES = {"cls": "cls_token", "sep": "sep_token"}
_ROBERTAS = {
    f"{name}Tokenizer{fast}"
    for name in ("MPNet", "Roberta", "XLMRoberta", "Camembert")
    for fast in ("", "Fast")
}


@dataclass(frozen=True)
class FolderTemplate:
    """
    What the files of a folder say of the template.

    Attributes:
        name: one of TEMPLATES.
        around: special token's field -> the one that stands there; empty where no file says.
    """

    name: str
    around: dict[str, str] = field(default_factory=dict)


def read_template(whole: dict[str, Any], folder: Path) -> FolderTemplate:
    """
    Read the template: tokenizer.json says it of itself, without it the kind of tokenizer tells.

    Args:
        whole: all of tokenizer.json.
        folder: the checkpoint folder.

    Raises:
        CheckpointError: another template than BERT's and RoBERTa's.
    """
    path = folder / TOKENIZER_JSON
    processor = whole.get("post_processor")
    if processor is None:
        return FolderTemplate(_usual_template(whole, folder))
    kind = kind_of(processor, "post_processor", path)
    if kind == "TemplateProcessing":
        return _read_pair(processor, path)
    if kind not in _PROCESSORS:
        refuse(path, "post_processor", kind, "BERT's, RoBERTa's or a TemplateProcessing")
    around = {
        name: processor[role][0]
        for role, name in _ROLES.items()
        if isinstance(processor.get(role), list) and processor[role]
    }
    return FolderTemplate(_PROCESSORS[kind], around)


def _usual_template(whole: dict[str, Any], folder: Path) -> str:
    path = folder / CONFIG_JSON
    name = read_json(path).get("tokenizer_class")
    check_types({"tokenizer_class": name}, {"tokenizer_class": str | None}, path)
    is_old_bpe = not whole and (folder / MERGES_TXT).is_file()
    return "roberta" if name in _ROBERTAS or is_old_bpe else "bert"


def _read_pair(processor: dict[str, Any], path: Path) -> FolderTemplate:
    # [CLS] A [SEP] B [SEP], or <s> A </s> </s> B </s>: told apart by what stands between.
    try:
        names = ["$" * ("Sequence" in part) + _only(part)["id"] for part in processor["pair"]]
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path}: post_processor has no pair ({error!r})") from error
    for name, (n_between, _) in TEMPLATES.items():
        first, separator = names[:1], names[-1:]
        if names == [*first, "$A", *separator * n_between, "$B", *separator] and len(names) > 4:
            return FolderTemplate(name, {"cls_token": names[0], "sep_token": names[-1]})
    raise CheckpointError(
        f"{path}: post_processor lays a pair out as {names}, expected "
        "[CLS] $A [SEP] $B [SEP], or <s> $A </s> </s> $B </s>"
    )


def _only(part: dict[str, Any]) -> Any:
    (value,) = part.values()
    return value
