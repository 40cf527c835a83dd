"""Servers of small libraries, answered by a tiny model."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fake_embedder import FakeEmbedder
from starlette.testclient import TestClient
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.answering.reader import Reader
from squadlite.answering.tokenizer import Tokenizer
from squadlite.model import TorchScorer
from squadlite.server.app import make_app
from squadlite.server.run import Served, make_server, prepare

ORIGIN = "http://127.0.0.1:8642"
TOKEN = "a-token-of-the-tests"
# A chapter of fewer words is taken for a part of the next.
FILLER = " ".join(["So it went on, and nothing else was the matter."] * 12)
BOOK = f"""---
title: The Ferry
author: A. Writer
---

# The Ferry

The ferry was a machine of planks; it went twice a day.

The ferryman was paid in apples & <b>pears</b>.

{FILLER}

# The Bridge

Nobody had told him of the bridge.

{FILLER}
"""
FERRY, BRIDGE = 0, 1


def tiny_reader() -> Reader:
    spec = tiny_spec()
    config = tiny_config(vocab_size=len(spec.vocab), max_position_embeddings=128)
    return Reader(
        TorchScorer(random_model(config)),
        Tokenizer(spec),
        threads=1,
        embedder=FakeEmbedder(),  # type: ignore[arg-type]
    )


@contextmanager
def client_of(
    folder: Path, *, reader: Reader | None = None, host: str = "127.0.0.1", token: str | None = None
) -> Iterator[TestClient]:
    """A client of an application whose library is in a folder."""
    app = make_app(folder / "library.db", reader or tiny_reader(), host=host, token=token)
    with TestClient(app, base_url=ORIGIN) as client:
        yield client


def upload(
    client: TestClient, content: str | bytes = BOOK, name: str = "ferry.md"
) -> list[tuple[str, Any]]:
    """Send a book; the events that tell what became of it."""
    sent = client.post("/api/books", content=content, headers={"X-Filename": name})
    assert sent.status_code == 202, sent.text
    return events(client.get(f"/api/uploads/{sent.json()['upload']}").text)


def add_book(client: TestClient, content: str | bytes = BOOK, name: str = "ferry.md") -> int:
    """Send a book; its number."""
    name, book = upload(client, content, name)[-1]
    assert name == "book", book
    return int(book["id"])


def ask(client: TestClient, question: str = "Who was paid?", **settings: Any) -> Any:
    """The events of a question."""
    asked = client.post("/api/questions", json={"question": question, **settings})
    assert asked.status_code == 200, asked.text
    return events(asked.text)


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream, their data parsed."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


@contextmanager
def served(folder: Path, reader: Reader | None = None) -> Iterator[Served]:
    """A real server at a free port."""
    prepared = prepare(folder / "library.db", reader or tiny_reader(), host="127.0.0.1", port=0)
    server = make_server(prepared)
    thread = threading.Thread(target=server.run, args=([prepared.socket],))
    thread.start()
    try:
        yield prepared
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def connect(prepared: Served) -> socket.socket:
    """A connection to a real server."""
    return socket.create_connection(prepared.socket.getsockname()[:2], timeout=20)
