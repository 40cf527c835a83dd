"""Fixtures that several test modules share."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# The first example of a test may compile a kernel, and other work may run on the same cores.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# Before any test imports torch. Threads that wait for one another cost the tiny models of the tests
# far more time than they save, most of all where other work runs on the same cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Who runs the tests in the background of a script has Ctrl-C ignored, and so would have what they
# start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count tests with a Ray cluster as slow: beside other programs they take minutes."""
    for item in items:
        if isinstance(item, pytest.Function) and "cluster" in item.fixturenames:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is written to the user's cache; kernels compiled for one test serve the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SQUADLITE_CACHE", str(tmp_path_factory.mktemp("squadlite-cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real books, data and checkpoints that stands beside the checkout."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(
            "needs ../shared (real books, data and checkpoints), which a plain clone has not"
        )
    return folder
