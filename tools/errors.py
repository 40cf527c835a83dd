"""
Errors of the compressor; like all of ours they descend from SquadliteError.

    SquadliteError
    ├── TrainingError   a training that can't begin, go on or be resumed
    └── RecipeError     a recipe that can't be run
"""

from squadlite.errors import SquadliteError


class TrainingError(SquadliteError):
    """A training that can't begin, go on or be resumed."""


class RecipeError(SquadliteError):
    """A recipe that can't be run."""
