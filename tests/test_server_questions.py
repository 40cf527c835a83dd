"""Questions over HTTP: streamed, queued, cancelled, stopped."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import BOOK, add_book, ask, client_of, events, served, tiny_reader
from starlette.testclient import TestClient

from squadlite.answering.reader import Reader
from squadlite.answering.spans import Reading
from squadlite.asking import ask as ask_library
from squadlite.library.library import Library
from squadlite.server import questions as questions_module
from squadlite.server.render import reply_json
from squadlite.server.run import Served

PARTS = "\n\n".join(
    f"# Part {number}\n\n" + f"The ferryman was paid in apples, {number} a day. " * 12
    for number in range(12)
)


def without_scores(reply: Any) -> Any:
    """torch rounds otherwise where passages are read in other company."""
    answers = [answer | {"score": None} for answer in reply["answers"]]
    return reply | {"score": None, "null_score": None, "answers": answers}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with client_of(tmp_path) as client:
        yield client


def test_a_question_is_answered_in_steps_and_at_last_as_ask_does(
    client: TestClient, tmp_path: Path
) -> None:
    add_book(client, PARTS, "parts.md")
    found = ask(client, "Who was paid?")
    assert [name for name, _ in found] == ["passages", *["answers"] * 3, "reply"]
    assert found[0][1] == {"count": 12, "books": [1]}
    with Library(tmp_path / "library.db") as library, library.shelf() as shelf:
        expected = reply_json(ask_library("Who was paid?", shelf, tiny_reader()))
    assert without_scores(found[-1][1]) == without_scores(expected)
    assert found[-1][1]["score"] == pytest.approx(expected["score"], rel=1e-4)
    assert found[-2][1]["answers"] == found[-1][1]["answers"]


def test_only_the_books_that_are_named_are_asked(client: TestClient) -> None:
    first, second = add_book(client), add_book(client, PARTS, "parts.md")
    for books, expected in (
        (None, {first, second}), ([second], {second}), ([first, first], {first})
    ):  # fmt: skip
        (_, passages), *_ = ask(client, "Who was paid in apples?", books=books)
        assert set(passages["books"]) == expected


def test_how_sure_an_answer_has_to_be_can_be_said(client: TestClient) -> None:
    add_book(client)
    for min_score, answered in ((0, True), (1, False), (None, None)):
        (*_, (_, reply)) = ask(client, min_score=min_score)
        assert answered is None or (reply["answer"] is not None) == answered
        assert reply["answers"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400), ([], 400), ({"question": ""}, 400), ({"question": 7}, 400),
        ({"question": " \n"}, 400),
        ({"question": "x" * 1001}, 400), ({"question": "Who?", "more": 1}, 400),
        ({"question": "Who?", "books": []}, 400), ({"question": "Who?", "books": 1}, 400),
        ({"question": "Who?", "books": ["1"]}, 400), ({"question": "Who?", "books": [True]}, 400),
        ({"question": "Who?", "books": [9]}, 404), ({"question": "Who?", "books": [10**30]}, 400),
        ({"question": "Who?", "min_score": 2}, 400), ({"question": "Who?", "min_score": "1"}, 400),
        ({"question": "Who?", "min_score": True}, 400),
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused(client: TestClient, body: object, status: int) -> None:
    add_book(client)
    refused = client.post("/api/questions", json=body)
    assert refused.status_code == status
    assert list(refused.json()) == ["error"]


def test_what_a_question_may_have_is_said_where_it_has_something_else(client: TestClient) -> None:
    refused = client.post("/api/questions", json={"question": "Who?", "top_k": 3})
    assert refused.json() == {
        "error": "expected a JSON object with question, books (optional), min_score (optional) "
        "and nothing else"
    }


@pytest.mark.parametrize("body", ["", "{", "[" * 60_000, '{"question": NaN}', "\xff"])
def test_what_is_no_json_is_refused(client: TestClient, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    refused = client.post("/api/questions", content=body.encode("latin-1"), headers=headers)
    assert refused.status_code == 400


def test_half_a_character_in_a_question_does_no_harm(client: TestClient) -> None:
    add_book(client)
    headers = {"Content-Type": "application/json"}
    body = '{"question": "Who was paid \\ud83d?"}'
    asked = client.post("/api/questions", content=body, headers=headers)
    assert events(asked.text)[-1][1]["question"] == "Who was paid ??"


def test_an_empty_library_says_so(client: TestClient) -> None:
    asked = client.post("/api/questions", json={"question": "Who?"})
    assert (asked.status_code, asked.json()) == (409, {"error": "there is no book to be asked"})


# --- many at once, by a real server ---


class Gate:
    """A reader that waits until it is let go on."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.read = 0
        self.opened = threading.Event()
        plain = reader.read

        def read(question: str, contexts: list[str], **settings: Any) -> list[Reading]:
            self.read += 1
            assert self.opened.wait(20)
            return plain(question, contexts, **settings)

        reader.read = read  # type: ignore[method-assign, assignment]

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 20
        while self.read < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def gate() -> Gate:
    return Gate(tiny_reader())


@pytest.fixture
def server(tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(questions_module, "default_threads", lambda: 1)
    monkeypatch.setattr(questions_module, "MAX_WAITING", 2)
    path = tmp_path / "ferry.md"
    path.write_text(BOOK, encoding="utf-8")
    with Library(tmp_path / "library.db") as library:
        library.add([path])
        library.add_vectors(gate.reader.embedder)  # type: ignore[arg-type]
    with served(tmp_path, gate.reader) as prepared:
        yield prepared
        gate.opened.set()


def begin(server: Served, question: str = "Who was paid?") -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(*server.socket.getsockname()[:2], timeout=20)
    body = json.dumps({"question": question})
    connection.request("POST", "/api/questions", body, {"Content-Type": "application/json"})
    return connection


def test_beyond_the_queue_a_question_is_told_when_to_come_again(server: Served, gate: Gate) -> None:
    asked = [begin(server)]
    gate.wait_for(1)
    asked += [begin(server), begin(server)]
    taken = [connection.getresponse() for connection in asked]
    assert [response.status for response in taken] == [200] * 3
    for _ in range(3):
        connection = begin(server)
        refused = connection.getresponse()
        assert refused.status == 503
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert "2 questions are waiting" in json.loads(refused.read())["error"]
        connection.close()
    gate.opened.set()
    for connection, response in zip(asked, taken, strict=True):
        assert events(response.read().decode())[-1][0] == "reply"
        connection.close()


def test_a_question_is_forgotten_when_its_client_goes_away(server: Served, gate: Gate) -> None:
    first = begin(server)
    gate.wait_for(1)
    leaving = [begin(server, "Who leaves?") for _ in range(2)]
    for connection in leaving:
        assert connection.getresponse().status == 200
        connection.close()
    desk = server.app.state.desks.questions
    deadline = time.monotonic() + 20
    while desk._waiting:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    staying = begin(server)
    responses = first.getresponse(), staying.getresponse()
    gate.opened.set()
    for response in responses:
        assert events(response.read().decode())[-1][0] == "reply"
    # Nothing was read for those that had left: one portion for each of the others.
    assert gate.read == 2
    first.close()
    staying.close()


def test_stopping_ends_what_is_asked_and_what_waits(
    tmp_path: Path, server: Served, gate: Gate
) -> None:
    asked = [begin(server)]
    gate.wait_for(1)
    asked.append(begin(server))
    responses = [connection.getresponse() for connection in asked]
    closing = threading.Thread(target=server.app.state.desks.close)
    closing.start()
    assert events(responses[1].read().decode()) == [("error", {"error": "the server is stopping"})]
    gate.opened.set()
    closing.join(20)
    assert events(responses[0].read().decode())[-1] == (
        "error", {"error": "the server is stopping"}
    )  # fmt: skip
    refused = begin(server)
    assert refused.getresponse().status == 503
    for connection in [*asked, refused]:
        connection.close()


def test_what_others_change_is_seen_by_the_next_question(
    client: TestClient, tmp_path: Path
) -> None:
    add_book(client)
    assert ask(client)[-1][0] == "reply"
    path = tmp_path / "bridge.md"
    path.write_text("# Bridge\n\nThe bridge was paid for by nobody.", encoding="utf-8")
    with Library(tmp_path / "library.db") as library:
        library.add([path])
        library.add_vectors(tiny_reader().embedder)  # type: ignore[arg-type]
    (_, passages), *_ = ask(client, "Who paid for the bridge?")
    assert set(passages["books"]) == {1, 2}
