"""The house rules that no single module can hold: who imports whom, and when torch is loaded."""

import ast
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from squadlite.native import cpu_with_kernels

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "squadlite"

# Which rooms of squadlite a room may import, beside those that are open to all.
MAY_IMPORT = {
    "cache": set(),
    "config": set(),
    "cores": set(),
    "distances": {"config"},
    "portable": set(),
    "container": {"native"},  # decodes by its kernels, where there are some
    "tensors": {"config", "container"},
    "native": {"cache", "config", "distances"},
    "families": {"config"},
    "model": {"config", "container", "distances", "families", "tensors"},
    "answering": {
        "config", "container", "cores", "model", "models", "native", "portable", "tensors",
    },
    "engines": {"cores"},
    "library": {"cache", "engines", "portable"},
    "models": set(),
    "asking": {"answering", "library"},
    "interface": {"answering", "asking", "library", "models"},
    "server": {"answering", "asking", "cores", "library"},
    "pipelines": {"answering", "config", "models"},
    "source": {"answering", "container", "families", "model", "tensors"},
    "quantization": {"answering", "config", "container", "model", "tensors"},
    "model_file": {"answering", "container", "model", "quantization"},
    "convert": {
        "answering", "config", "container", "model", "model_file", "quantization", "source",
        "tensors",
    },
    "diff": {"answering", "config", "container", "tensors"},
    "export": {"answering", "config", "container", "distances", "families", "tensors"},
    "bench": {
        "answering", "asking", "config", "container", "cores", "export", "library", "model",
        "models", "native", "tensors",
    },
    "cli": {
        "answering", "asking", "bench", "config", "container", "convert", "cores", "diff",
        "engines", "export", "library", "model", "models", "server",
    },
}  # fmt: skip
OPEN_TO_ALL = {"atomic", "closing", "digests", "errors", "progress"}
ROOMS_WITH_TORCH = {"bench", "model", "quantization"}


def imported_modules(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if room_of(path) in MAY_IMPORT]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    room = room_of(path)
    allowed = MAY_IMPORT[room] | OPEN_TO_ALL | {room}
    for name in imported_modules(path):
        top, _, rest = name.partition(".")
        if top == "squadlite" and rest:
            assert rest.split(".")[0] in allowed, f"{path} imports {name}"
        assert top not in {"tools", "benchmarks", "tests"}, f"{path} imports {name}"
        assert top != "torch" or room in ROOMS_WITH_TORCH, f"{path} imports torch"


def test_every_room_has_its_rules() -> None:
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")}
    assert rooms - {"__init__", "__main__"} == MAY_IMPORT.keys() | OPEN_TO_ALL


def test_importing_squadlite_imports_nothing_else() -> None:
    check = "import sys; import squadlite; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", check], cwd=ROOT, text=True).split()
    assert {"numpy", "torch", "lxml", "click", "tokenizers"}.isdisjoint(loaded)
    assert [name for name in loaded if name.startswith("squadlite")] == ["squadlite"]


@pytest.mark.parametrize(
    "statement",
    [
        "import squadlite; squadlite.Book; squadlite.Reader; squadlite.ask; squadlite.pipeline",
        "from squadlite.cli import run; run(['--help'])",
        "from squadlite.cli import run; run(['ask', '--help'])",
        "from squadlite.cli import run; run(['inspect', 'tests/golden/tiny.sqz'])",
        "from squadlite.cli import run; run(['verify', 'tests/golden/tiny.sqz'])",
        "from squadlite.cli import run; run(['diff'] + ['squadlite/models/default.sqz'] * 2)",
        "import squadlite.library.index, squadlite.container, squadlite.answering.reader",
        "import squadlite.export",
    ],
)
def test_torch_is_not_loaded_by(statement: str) -> None:
    check_that_torch_stays_away(statement)


def test_a_question_is_answered_without_torch_where_there_are_kernels() -> None:
    if cpu_with_kernels() is None:
        pytest.skip("there are no kernels for this processor")
    asked = ["ask", "tests/books/the-salt-road.epub", "What did Rusk ask for?"]
    check_that_torch_stays_away(f"from squadlite.cli import run; run({asked!r})")


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="on other machines LLVM loads what it has compiled",
)
def test_a_second_question_starts_without_what_only_the_first_one_needs() -> None:
    if cpu_with_kernels() is None:
        pytest.skip("there are no kernels for this processor")
    ask = "from squadlite.cli import run; run(['ask', 'tests/books/the-salt-road.epub', 'Who?'])"
    subprocess.run([sys.executable, "-c", ask], cwd=ROOT, check=True, capture_output=True)
    check = f"import sys; {ask}; print(*sys.modules, file=sys.stderr)"
    second = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, check=True, capture_output=True, text=True
    )
    loaded = set(second.stderr.split())
    assert "squadlite.native.scorer" in loaded
    unneeded = {
        "llvmlite",  # the processor is known, and its kernels are in the cache
        "rich.console",
        "lxml",
        "bitarray",
        "squadlite.native.network",
        "squadlite.library.passages",
        "squadlite.library.shelf",
        "squadlite.answering.tokenizer_folder",
        "squadlite.container.writer",
        "squadlite.cli.bench",
        "squadlite.cli.library",
    }
    assert not loaded & unneeded


def check_that_torch_stays_away(statement: str) -> None:
    check = f"import sys; {statement}; sys.exit('torch' in sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
