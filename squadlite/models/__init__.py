"""The models of squadlite's own, by name."""

from pathlib import Path

from squadlite.errors import MissingModelError

# Name -> file. The large one answers better and takes longer; the wheel may come without it.
MODELS = {name: Path(__file__).with_name(f"{name}.sqz") for name in ("default", "large")}
DEFAULT_MODEL = MODELS["default"]


def find_model(model: str | Path) -> Path:
    """
    Where a model is.

    Args:
        model: a name in `MODELS`, or a path; a file or folder of such a name is `./name`.

    Raises:
        MissingModelError: a name whose model isn't part of this installation.
    """
    path = MODELS[model] if isinstance(model, str) and model in MODELS else Path(model)
    if path in MODELS.values() and not path.is_file():
        there = ", ".join(name for name, file in MODELS.items() if file.is_file())
        raise MissingModelError(
            f"model {path.stem!r}: not shipped with this squadlite yet, expected {there} or the "
            "path of a .sqz file or checkpoint folder"
        )
    return path
