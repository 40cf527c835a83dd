"""How work that takes a while tells how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int], None]  # (done, to be done in all)
