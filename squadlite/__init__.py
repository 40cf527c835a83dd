"""squadlite answers questions from local e-books, offline, with a model of a few megabytes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from squadlite.answering.reader import Reader
    from squadlite.interface import Book, ask
    from squadlite.library.library import Library
    from squadlite.pipelines import pipeline

__version__ = "0.1.0"
__all__ = ["Book", "Library", "Reader", "__version__", "ask", "pipeline"]

# No module has the name of what is exported: once imported it would stand in its place.
_MODULES = {
    "Book": "squadlite.interface",
    "Library": "squadlite.library.library",
    "Reader": "squadlite.answering.reader",
    "ask": "squadlite.interface",
    "pipeline": "squadlite.pipelines",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for, so that `import squadlite` takes no time."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
