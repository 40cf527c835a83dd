"""Work done here and by Ray's workers: equal results, whatever is lost."""

import json
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

import pytest
import ray_workers
from fake_embedder import FakeEmbedder
from pdfs import Pdf, lines
from test_cli import checkpoint, model  # noqa: F401
from test_library_library import assert_whole, write_book

from squadlite.answering.reader import Reader
from squadlite.asking import Reply, ask_shelf
from squadlite.cli import run
from squadlite.engines import LOCAL, LocalEngine, RayEngine
from squadlite.errors import BookError, EngineError
from squadlite.library.bound import Bound
from squadlite.library.library import Library, default_library_file
from squadlite.library.shelf import BOOKS_SEARCHED
from squadlite.models import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parent.parent
SALT_ROAD = ROOT / "tests" / "books" / "the-salt-road.epub"
NAMES = ["Anna", "Boris", "Clara", "Dora", "Emil", "Fanny", "Gregor", "Hanna"]
OBJECT_STORE_BYTES = 200 << 20
# Ray's own modules warn of one another.
pytestmark = pytest.mark.filterwarnings("ignore:::ray", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two workers on this machine, where the tests' modules can be imported."""
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'squadlite[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_IGNORE_UNHANDLED_ERRORS", "1")
        ray.init(
            "local",
            num_cpus=2,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        yield ray
        ray.shutdown()


@pytest.fixture(autouse=True)
def library_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQUADLITE_LIBRARY", str(tmp_path / "not-the-users.db"))


@pytest.fixture
def engine(cluster: Any) -> Iterator[RayEngine]:
    with RayEngine() as engine:
        yield engine
    assert cluster.is_initialized()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Books, a duplicate, and files that can't be read."""
    folder = tmp_path_factory.mktemp("books")
    for name in NAMES:
        write_book(folder, name)
    (folder / "the-salt-road.epub").write_bytes(SALT_ROAD.read_bytes())
    Pdf([lines(["The ferry was a machine of planks; it went twice a day."])]).write(
        folder / "ferry.pdf"
    )
    (folder / "copy.md").write_bytes((folder / "Boris.md").read_bytes())
    (folder / "broken.epub").write_bytes(b"PK\x03\x04 nothing")
    (folder / "empty.md").write_bytes(b"")
    return folder


def contents(library: Library) -> dict[str, list[tuple[Any, ...]]]:
    """All that a library's file holds."""
    return {
        table: library._database.rows(f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("books", "files", "indexes", "vectors", "terms")
    }


@pytest.fixture(scope="module")
def expected(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The library that the local engine makes of the folder."""
    with Library(tmp_path_factory.mktemp("local") / "library.db") as library:
        library.add([folder])
        library.add_vectors(FakeEmbedder())
        yield library


def test_here_work_is_done_when_its_result_is_asked_for() -> None:
    done: list[int] = []
    results = LOCAL.map(lambda item: done.append(item) or -item, range(5))
    assert (next(results), done) == (0, [0])
    assert list(results) == [-1, -2, -3, -4]
    assert done == [0, 1, 2, 3, 4]


def nobody() -> RayEngine:
    return RayEngine("127.0.0.1:1")


def no_port() -> RayEngine:
    return RayEngine("nowhere:port")


@pytest.mark.parametrize("connect", [nobody, no_port])
def test_a_cluster_that_is_not_there_is_told_at_once(connect: Callable[[], RayEngine]) -> None:
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'squadlite[ray]'")
    assert not ray.is_initialized(), "this has to be tested before there is a cluster"
    with pytest.raises(EngineError, match="expected a cluster there"):
        connect()


def test_results_come_in_the_order_of_the_items(engine: RayEngine) -> None:
    assert list(engine.map(ray_workers.late_first, range(9))) == [n * n for n in range(9)]
    assert list(engine.map(ray_workers.late_first, ())) == []


def test_all_workers_work(engine: RayEngine) -> None:
    workers = set(engine.map(ray_workers.process_of, range(8)))
    assert len(workers) == 2
    assert os.getpid() not in workers


def test_items_are_taken_only_a_little_ahead(engine: RayEngine) -> None:
    taken: list[int] = []
    results = engine.map(ray_workers.late_first, (taken.append(n) or n for n in range(1000)))
    next(results)
    assert len(taken) <= 9


def test_our_errors_come_back_as_they_were(engine: RayEngine) -> None:
    results = engine.map(ray_workers.fail_in_the_middle, range(6))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(BookError, match=r"^three\.md: found three, expected another$"):
        next(results)


def test_a_bug_shows_where_it_is(engine: RayEngine) -> None:
    with pytest.raises(ZeroDivisionError, match="in misbehave"):
        list(engine.map(ray_workers.misbehave, range(3)))


@pytest.mark.slow
def test_what_kills_every_worker_comes_to_an_end(engine: RayEngine) -> None:
    with pytest.raises(EngineError, match="a worker was lost"):
        list(engine.map(ray_workers.die, [0]))
    assert list(engine.map(ray_workers.late_first, range(3))) == [0, 1, 4]


def test_a_worker_of_another_version_is_refused(
    engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("squadlite.engines.__version__", "9.9")
    with pytest.raises(EngineError, match=r"a worker has squadlite .*, expected 9\.9"):
        list(engine.map(ray_workers.late_first, [1]))


def test_work_that_a_worker_cannot_import_is_told_in_a_line(
    engine: RayEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def work(item): return item\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with pytest.raises(EngineError, match=r"can't work.*only_here") as told:
        list(engine.map(only_here.work, [1]))
    assert "\n" not in str(told.value)


def test_more_cpus_than_a_machine_has_are_refused(cluster: Any) -> None:
    with pytest.raises(EngineError, match="found machines of 2 CPUs, expected 99 in one"):
        RayEngine(cpus=99)
    assert cluster.is_initialized()


def test_a_library_is_the_same_whoever_makes_it(
    engine: RayEngine, folder: Path, expected: Library, tmp_path: Path
) -> None:
    steps: list[tuple[int, int]] = []
    with Library(tmp_path / "local.db") as local:
        reports = local.add([folder])
    with Library(tmp_path / "library.db") as library:
        assert library.add([folder], engine=engine, progress=lambda *s: steps.append(s)) == reports
        assert steps == [(n, len(reports)) for n in range(1, len(reports) + 1)]
        steps.clear()
        library.add_vectors(
            FakeEmbedder(), engine=engine, progress=lambda *step: steps.append(step)
        )
        assert steps[-1] == (library.status().passages,) * 2
        assert contents(library) == contents(expected)


@pytest.mark.parametrize("changed", ["content", "names"])
def test_a_library_is_brought_up_to_date_in_the_same_way(
    engine: RayEngine, folder: Path, tmp_path: Path, changed: str
) -> None:
    files = tmp_path / "files"
    made = []
    for which in (LOCAL, engine):
        files.mkdir()
        for name in NAMES[:4]:
            (files / f"{name}.md").write_bytes((folder / f"{name}.md").read_bytes())
            os.utime(files / f"{name}.md", (1, 1))
        with Library(tmp_path / f"{len(made)}.db") as library:
            library.add([files], engine=which)
            if changed == "content":
                # The old content stands in another file, looked at before the new one is entered.
                (files / "Zoe.md").write_bytes((files / "Anna.md").read_bytes())
                write_book(files, "Anna", sentences=50)
            else:
                (files / "Anna.md").rename(files / "Zoe.md")
                (files / "Boris.md").rename(files / "Anna.md")
            for path in files.iterdir():
                os.utime(path, (2, 2))
            reports = library.add([files], engine=which)
            assert_whole(library)
            made.append((reports, contents(library)))
        for path in files.iterdir():
            path.unlink()
        files.rmdir()
    assert made[0] == made[1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_workers_killed_in_the_middle_change_nothing(
    engine: RayEngine, folder: Path, expected: Library, tmp_path: Path
) -> None:
    workers = set(engine.map(ray_workers.process_of, range(8)))

    def kill(done: int, _: int) -> None:
        if done == 2:
            for worker in workers:
                os.kill(worker, signal.SIGKILL)

    with Library(tmp_path / "library.db") as library:
        library.add([folder], engine=engine, progress=kill)
        embedder = ray_workers.DyingEmbedder(tmp_path / "died")
        library.add_vectors(embedder, engine=engine)
        assert embedder.died.exists()
        assert contents(library) == contents(expected)
        assert_whole(library)
    assert workers.isdisjoint(engine.map(ray_workers.process_of, range(8)))


def test_an_interrupted_add_leaves_whole_books(
    engine: RayEngine, folder: Path, expected: Library, tmp_path: Path
) -> None:
    def interrupt(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with Library(tmp_path / "library.db") as library:
        with pytest.raises(KeyboardInterrupt):
            library.add([folder], engine=engine, progress=interrupt)
        assert len(library.books()) == 3
        assert_whole(library)
        library.add([folder], engine=engine)
        library.add_vectors(FakeEmbedder(), engine=engine)
        assert contents(library) == contents(expected)


def untimed(replies: Iterable[Reply]) -> list[Reply]:
    return [replace(reply, retrieve_ms=0, read_ms=0) for reply in replies]


QUESTIONS = [
    "What did Rusk ask for instead of the toll?",
    "Who met number7 on the bridge?",
    "Who met number31 on the bridge?",
    "",
    "Who carried salt?",
]


@pytest.fixture(scope="module")
def shelf_library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """More books than a search looks into, one of them read in part."""
    folder = tmp_path_factory.mktemp("shelf")
    for number in range(BOOKS_SEARCHED + 4):
        text = f"Keeper number{number} carried salt over the bridge and paid the toll. " * 5
        (folder / f"{number:02}.txt").write_text(f"Book {number}\n\n{text}", encoding="utf-8")
    with Library(folder / "library.db") as library:
        library.add([SALT_ROAD, folder])
        library.read(1, Bound(3, 500))
        yield library


def test_replies_are_equal_and_in_order(engine: RayEngine, shelf_library: Library) -> None:
    reader = Reader.load(DEFAULT_MODEL, threads=1, compute="auto")
    told: list[tuple[int, int]] = []
    with shelf_library.shelf(engine=engine, progress=lambda *step: told.append(step)) as shelf:
        replies = untimed(ask_shelf(QUESTIONS, shelf, reader, top_k=9))
        assert told
    with shelf_library.shelf() as shelf:
        assert untimed(ask_shelf(QUESTIONS, shelf, reader, top_k=9)) == replies
    assert [reply.question for reply in replies] == QUESTIONS
    assert all(reply.answers for reply in replies)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_workers_killed_while_they_read_change_no_reply(
    engine: RayEngine, shelf_library: Library, tmp_path: Path
) -> None:
    reader = Reader.load(DEFAULT_MODEL, threads=1, compute="auto")
    workers = set(engine.map(ray_workers.process_of, range(8)))
    questions = QUESTIONS * 3
    with shelf_library.shelf() as shelf:
        expected = untimed(ask_shelf(questions, shelf, reader, top_k=9))
    dying = ray_workers.DyingReader(reader, tmp_path / "died")
    with shelf_library.shelf(engine=engine) as shelf:
        asked = ask_shelf(questions, shelf, cast(Reader, dying), top_k=9)
        first = next(asked)
        for worker in workers:
            with suppress(ProcessLookupError):  # it may have been the one that killed itself
                os.kill(worker, signal.SIGKILL)
        replies = untimed(chain([first], asked))
    assert dying.died.exists()
    assert replies == expected


def test_a_loaded_reader_is_sent_with_its_model() -> None:
    reader = Reader.load(DEFAULT_MODEL, threads=1, compute="auto")
    sent = pickle.loads(pickle.dumps(reader))  # noqa: S301 - our own bytes
    asked = ("Who keeps the lighthouse?", ["Old Anna keeps the lighthouse.", "It rained."])
    assert sent.read(*asked) == reader.read(*asked)
    assert sent.embedder.digest == reader.embedder.digest
    made = Reader(reader.scorer, reader.tokenizer)
    with pytest.raises(TypeError, match="wasn't loaded from a file"):
        pickle.dumps(made)


def printed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("kind", ["model", pytest.param("checkpoint", marks=pytest.mark.slow)])
def test_the_commands_print_the_same(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    kind: str,
) -> None:
    of_model = ["--model", str(request.getfixturevalue(kind)), "--threads", "1"]
    questions = tmp_path / "questions.jsonl"
    lines = [{"id": n, "question": f"What of {name}?"} for n, name in enumerate(NAMES)]
    questions.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    capsys.readouterr()
    outputs = []
    for engine in ("local", "ray"):
        where = ["--library", str(tmp_path / f"{engine}.db"), "--engine", engine, *of_model]
        assert run(["library", "add", str(folder), "--json", *where]) == 1
        added = printed(capsys)
        assert run(["library", "ask", "--questions", str(questions), *where]) == 0
        replies = printed(capsys)
        for reply in replies:
            del reply["timing"]
        assert [reply["id"] for reply in replies] == [str(n) for n in range(len(NAMES))]
        outputs.append((added, replies))
    assert outputs[0] == outputs[1]


def test_without_ray_the_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    where = ["--library", str(tmp_path / "library.db"), "--engine", "ray"]
    assert run(["library", "add", str(tmp_path), *where]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'squadlite[ray]'" in line


def test_an_address_needs_the_engine_that_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["library", "add", "books", "--address", "head:6379"]) == 2
    assert "--address needs --engine ray" in capsys.readouterr().err
    assert not default_library_file().exists()


def test_the_local_engine_is_closed_like_others() -> None:
    with LocalEngine() as engine:
        assert list(engine.map(str, [1])) == ["1"]
