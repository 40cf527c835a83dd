"""Bodies, headers and connections that are too large or too slow, and the server's end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import BOOK, client_of, connect, served, upload
from starlette.exceptions import HTTPException
from test_cli import checkpoint, model  # noqa: F401

from squadlite.cli import run
from squadlite.library.library import Library
from squadlite.server import app as app_module
from squadlite.server import bodies as bodies_module
from squadlite.server import run as run_module
from squadlite.server import uploads as uploads_module
from squadlite.server.run import Served
from squadlite.server.uploads import UploadDesk

HEAD = (
    "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Filename: a.md\r\n"
    "Content-Type: application/json\r\n"
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(bodies_module, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(run_module, "HEADER_SECONDS", 0.3)
    with served(tmp_path) as prepared:
        yield prepared


def answer(connection: socket.socket) -> bytes:
    """All that the server says until it closes the connection."""
    received = b""
    while piece := connection.recv(1 << 16):
        received += piece
    return received


def test_a_body_that_says_it_is_too_large_is_refused_unread(server: Served) -> None:
    for path, size in (("/api/books", 1 << 40), ("/api/questions", 70_000)):
        with connect(server) as connection:
            head = HEAD.format(path=path) + f"Content-Length: {size}\r\n\r\n"
            connection.sendall(head.encode())
            assert answer(connection).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_is_larger_than_it_says_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "MAX_UPLOAD_BYTES", 1000)
    with client_of(tmp_path) as client:
        headers = {"X-Filename": "a.md"}
        pieces = iter([b"x" * 600, b"x" * 600])
        assert client.post("/api/books", content=pieces, headers=headers).status_code == 413
        assert client.post("/api/books", content=b"x" * 1001, headers=headers).status_code == 413
        assert list((tmp_path / "library.db.books").iterdir()) == []
        assert upload(client, BOOK[:1000])[-1][0] == "book"


@pytest.mark.parametrize("path", ["/api/books", "/api/questions"])
def test_a_body_that_comes_too_slowly_is_refused(server: Served, tmp_path: Path, path: str) -> None:
    with connect(server) as connection:
        connection.sendall((HEAD.format(path=path) + "Content-Length: 5000\r\n\r\n{").encode())
        assert answer(connection).startswith(b"HTTP/1.1 408 ")
    assert not list((tmp_path / "library.db.books").glob(".*"))


@pytest.mark.parametrize("head", ["", "GET / HT", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-"])
def test_headers_that_do_not_come_end_the_connection(server: Served, head: str) -> None:
    with connect(server) as connection:
        connection.sendall(head.encode())
        assert answer(connection) == b""


def test_headers_that_are_too_large_are_refused(server: Served) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 100_000)
        assert answer(connection).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_leaves_in_the_middle_of_a_book_leaves_nothing(
    server: Served, tmp_path: Path
) -> None:
    with connect(server) as connection:
        head = HEAD.format(path="/api/books") + "Content-Length: 5000\r\n\r\nThe mule"
        connection.sendall(head.encode())
        folder = tmp_path / "library.db.books"
        wait_until(lambda: folder.exists() and bool(list(folder.iterdir())))
    wait_until(lambda: not list(folder.iterdir()))


def test_a_book_that_has_come_when_the_server_stops_is_not_kept(tmp_path: Path) -> None:
    desk = uploads_module.UploadDesk(tmp_path / "library.db", None, lambda book: None)
    with pytest.raises(HTTPException, match="the server is stopping"), desk.arriving() as file:
        file.write(b"The mule was grey.")
        desk.close()
        desk.accept(file, "mule.txt")
    assert list(desk.folder.iterdir()) == []


def test_too_many_books_at_once_are_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "MAX_WAITING", 0)
    with client_of(tmp_path) as client:
        refused = client.post("/api/books", content=BOOK, headers={"X-Filename": "a.md"})
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0


def test_a_library_that_cant_be_opened_is_told_to_who_sends_a_book(tmp_path: Path) -> None:
    (tmp_path / "library.db").mkdir()
    desk = UploadDesk(tmp_path / "library.db", None, lambda book: None)
    with desk.arriving() as file:
        file.write(BOOK.encode())
        sent = desk.accept(file, "ferry.md")
    wait_until(lambda: sent.outcome is not None)
    desk.close()
    assert sent.outcome is not None
    assert sent.outcome.name == "error"
    assert "can't be used as a library" in str(sent.outcome.data)


def wait_until(is_so) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- the command ---


def start(tmp_path: Path, *options: str) -> "tuple[subprocess.Popen[str], dict[str, str]]":
    process = subprocess.Popen(
        [sys.executable, "-m", "squadlite", "serve", "--library", str(tmp_path / "library.db"),
         "--port", "0", "--json", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_the_command_serves_until_it_is_stopped_in_the_middle_of_work(
    tmp_path: Path, model: Path  # noqa: F811
) -> None:  # fmt: skip
    process, told = start(tmp_path, "--model", str(model))
    assert told["token"] is None
    address = told["url"].removeprefix("http://").rstrip("/").split(":")
    with (
        socket.create_connection((address[0], int(address[1])), timeout=20) as idle,
        socket.create_connection((address[0], int(address[1])), timeout=20) as sending,
    ):
        head = HEAD.format(path="/api/books") + "Content-Length: 5000\r\n\r\nThe mule"
        sending.sendall(head.encode())
        idle.sendall(b"GET /api/books HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200 ")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (-signal.SIGTERM, "", "")
    assert list((tmp_path / "library.db.books").iterdir()) == []


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Served]]:
    """What the command would have served, each time that it is run here."""
    prepared: list[Served] = []
    monkeypatch.setattr(run_module, "run", prepared.append)
    yield prepared
    for served_one in prepared:
        served_one.app.state.desks.close()
        served_one.socket.close()


def test_at_an_address_that_others_reach_the_link_has_a_token_and_a_picture(
    tmp_path: Path,
    model: Path,  # noqa: F811
    prepared: list[Served],
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["serve", "--model", str(model), "--port", "0", "--host", "0.0.0.0"]
    for _ in range(2):
        assert run([*command, "--library", str(tmp_path / "library.db")]) == 0
        printed = capsys.readouterr().out
        assert prepared[-1].url in printed
        assert printed.count("\n") > 10
        assert "█" in printed
    tokens = {served_one.token for served_one in prepared}
    assert len(tokens) == 2
    for served_one in prepared:
        assert served_one.token is not None
        assert len(served_one.token) >= 32
        assert served_one.url.endswith(f"/?token={served_one.token}")
        assert "0.0.0.0" not in served_one.url


def test_books_that_the_command_is_given_are_added_and_one_is_opened(
    tmp_path: Path,
    model: Path,  # noqa: F811
    prepared: list[Served],
    capsys: pytest.CaptureFixture[str],
) -> None:
    ferry, other, broken = (tmp_path / name for name in ("ferry.md", "other.md", "broken.epub"))
    ferry.write_text(BOOK)
    other.write_text(BOOK.replace("Ferry", "Raft"))
    broken.write_bytes(b"PK")
    command = ["serve", "--model", str(model), "--port", "0", "--json"]
    command += ["--library", str(tmp_path / "library.db")]
    for paths, place in (
        ([ferry], "#/books/1"),
        ([ferry, broken], "#/books/1"),  # there already, and as it was
        ([ferry, other], ""),
        ([broken], ""),
    ):
        assert run([*command, *map(str, paths)]) == 0
        printed = capsys.readouterr()
        assert json.loads(printed.out)["url"] == prepared[-1].url + place
        assert ("Not added:" in printed.err) == (broken in paths)
    with Library(tmp_path / "library.db") as library:
        assert [book.title for book in library.books()] == ["The Ferry", "The Raft"]


@pytest.mark.parametrize(
    "case",
    [
        (["--token", "short"], 2, "expected 16 to 200 letters"),
        (["--token", "a" * 16 + ";"], 2, "expected 16 to 200 letters"),
        ([""], 2, "found '', expected a file or a folder"),
        (["--host", "192.0.2.1"], 1, "192.0.2.1:0: can't be listened at"),
        (["--library", "/dev/null/library.db"], 1, "can't be opened"),
    ],
)
def test_what_cant_be_served_is_told_in_one_line(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str],  # noqa: F811
    case: tuple[list[str], int, str],
) -> None:  # fmt: skip
    options, code, message = case
    command = ["serve", "--library", str(tmp_path / "a.db"), "--port", "0", "--model", str(model)]
    assert run([*command, *options]) == code
    assert message in capsys.readouterr().err


def test_without_its_packages_serve_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("squadlite.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run(["serve"]) == 1
    assert capsys.readouterr().err == (
        "Error: serving needs uvicorn, which is not installed: pip install 'squadlite[serve]'\n"
    )
