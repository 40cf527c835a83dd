"""squadlite answers questions from local e-books, offline, with a model of a few megabytes."""

__version__ = "0.1.0"
