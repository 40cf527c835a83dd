"""The model that ships with squadlite."""

from pathlib import Path

DEFAULT_MODEL = Path(__file__).with_name("default.sqz")
