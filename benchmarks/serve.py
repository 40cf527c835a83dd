"""
What `squadlite serve` does when everybody comes at once.

    python -m benchmarks.serve ../shared/books "Who is Filby?" "Who kept the lighthouse?"

The BOOKS are put into a library in a temporary folder, and the server is started on it. First each
of the QUESTIONS is asked alone, in turns, of the server and by `squadlite library ask`: the medians
of the seconds to the server's first answers and to its reply, and of the command line's from its
start to its end, stand below the table.

Then for --seconds bursts follow one another: --questions clients ask at the same moment, each one
of the QUESTIONS of the whole shelf, and --uploads others each send a small book that nobody has
sent before, wait until it is in the library, and remove it. Nobody who is refused comes again in
the same burst.

Columns: how many were served, refused (503) and failed (anything else), the median and the 95th
percentile of the seconds to the first answers and to the end, for those served; and the server's
memory after the first burst and after the last, in MB.
"""

import http.client
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import numpy as np

from squadlite.answering.reader import Reader
from squadlite.cli.output import print_json, print_table, progress_bar
from squadlite.library.library import Library
from tools.command import existing_path, run

SEED = 7
CLIENT_SECONDS = 120
TURNS = 10  # of each question that is asked alone
WORDS = ["salt", "mule", "bridge", "toll", "goat", "tarn", "powder", "sledge", "lamp", "keeper"]


@dataclass
class Outcomes:
    """What became of one kind of requests; filled by many threads."""

    counts: Counter[str] = field(default_factory=Counter)
    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def row(self) -> dict[str, Any]:
        """The numbers of the table."""
        row: dict[str, Any] = {name: self.counts[name] for name in ("served", "refused", "failed")}
        for name, seconds in (("first", self.first), ("whole", self.whole)):
            row |= {
                f"{name}_p50": round(statistics.median(seconds), 3) if seconds else None,
                f"{name}_p95": round(float(np.percentile(seconds, 95)), 3) if seconds else None,
            }
        return row | {"errors": dict(self.errors)}


class Client:
    """One who asks or sends; each request has a connection of its own."""

    def __init__(self, address: tuple[str, int], outcomes: Outcomes) -> None:
        self._address = address
        self._outcomes = outcomes

    def ask(self, question: str) -> None:
        """Ask a question and wait for the reply."""
        body = json.dumps({"question": question})
        self._do(lambda: self._follow("POST", "/api/questions", body, "reply"))

    def send(self, name: str, book: str) -> None:
        """Send a book, wait until it is in the library, remove it."""

        def follow() -> str:
            with self._request("POST", "/api/books", book, {"X-Filename": name}) as response:
                if response.status != 202:
                    return _refusal(response)
                upload = json.loads(response.read())["upload"]
            outcome = self._follow("GET", f"/api/uploads/{upload}", None, "book")
            if outcome == "served":
                with self._request("DELETE", f"/api/books/{self._last['id']}") as response:
                    return "served" if response.status == 204 else _refusal(response)
            return outcome

        self._do(follow)

    def _do(self, request: Callable[[], str]) -> None:
        self._began = time.perf_counter()
        try:
            outcome = request()
        except (OSError, ValueError, http.client.HTTPException) as error:
            outcome = repr(error)
        if outcome == "served":
            self._outcomes.whole.append(time.perf_counter() - self._began)
        if outcome not in {"served", "refused"}:
            self._outcomes.errors[outcome] += 1
            outcome = "failed"
        self._outcomes.counts[outcome] += 1

    def _follow(self, method: str, path: str, body: str | None, last: str) -> str:
        """Read a stream of events up to the last one."""
        name, is_first = "", True
        with self._request(method, path, body) as response:
            if response.status != 200:
                return _refusal(response)
            for line in response:
                field_name, _, value = line.decode().strip().partition(": ")
                if field_name == "event":
                    name = value
                    if name == "answers" and is_first:
                        is_first = False
                        self._outcomes.first.append(time.perf_counter() - self._began)
                elif field_name == "data" and name in {last, "error"}:
                    self._last = json.loads(value)
                    return "served" if name == last else str(self._last["error"])
        return "the stream ended early"

    @contextmanager
    def _request(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(*self._address, timeout=CLIENT_SECONDS)
        with closing(connection):
            connection.request(
                method,
                path,
                body,
                headers or ({"Content-Type": "application/json"} if body else {}),
            )
            yield connection.getresponse()


def _refusal(response: http.client.HTTPResponse) -> str:
    return "refused" if response.status == 503 else f"{response.status} {response.read()[:200]!r}"


def small_book(generator: random.Random) -> str:
    """A book of a thousand words in no order."""
    sentences = (" ".join(generator.choices(WORDS, k=10)).capitalize() + "." for _ in range(100))
    return f"# Book {generator.random()}\n\n" + " ".join(sentences)


def burst(
    address: tuple[str, int],
    questions: Sequence[str],
    books: Sequence[str],
    asked: Outcomes,
    sent: Outcomes,
) -> None:
    """All requests at the same moment; returns when each has its outcome."""
    threads = [
        threading.Thread(target=Client(address, asked).ask, args=(question,))
        for question in questions
    ]
    threads += [
        threading.Thread(target=Client(address, sent).send, args=(f"book-{number}.md", book))
        for number, book in enumerate(books)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def memory(process: int) -> float:
    """The memory that a process holds, in MB; Linux only."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6  # Linux calls 1024 bytes a kB


def alone(address: tuple[str, int], library: Path, questions: Sequence[str]) -> dict[str, float]:
    """Median seconds of one question at a time, asked of the server and in a terminal."""
    served, typed = Outcomes(), []
    for _ in range(TURNS):
        for question in questions:
            Client(address, served).ask(question)
            began = time.perf_counter()
            command = ["-m", "squadlite", "library", "ask", "--library", str(library), question]
            subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
            typed.append(time.perf_counter() - began)
    seconds = {"first": served.first, "whole": served.whole, "command": typed}
    return {name: round(statistics.median(each), 3) for name, each in seconds.items()}


@click.command(help=__doc__)
@click.argument("books", type=existing_path)
@click.argument("texts", metavar="QUESTIONS...", nargs=-1, required=True)
@click.option("--seconds", default=120.0, show_default=True, help="How long bursts go on.")
@click.option("--questions", default=200, show_default=True, help="Questions in a burst.")
@click.option("--uploads", default=20, show_default=True, help="Books sent in a burst.")
def main(books: Path, texts: tuple[str, ...], seconds: float, questions: int, uploads: int) -> None:
    """Measure, and print a table and a JSON line."""
    generator = random.Random(SEED)
    asked, sent, memories = Outcomes(), Outcomes(), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "library.db"
        with Library(path) as library, progress_bar("Indexing the books") as progress:
            library.add([books], progress=progress)
            if (embedder := Reader.load(compute="auto").embedder) is not None:
                library.add_vectors(embedder, progress=progress)
        command = ["-m", "squadlite", "serve", "--library", str(path), "--port", "0", "--json"]
        with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            url = urlsplit(json.loads(server.stdout.readline())["url"])
            assert url.hostname is not None
            assert url.port is not None
            address = url.hostname, url.port
            try:
                single = alone(address, path, texts)
                began = time.monotonic()
                while time.monotonic() < began + seconds:
                    burst(
                        address,
                        [texts[number % len(texts)] for number in range(questions)],
                        [small_book(generator) for _ in range(uploads)],
                        asked,
                        sent,
                    )
                    memories.append(memory(server.pid))
            finally:
                server.terminate()
    rows = {"questions": asked.row(), "uploads": sent.row()}
    names = [name for name in rows["questions"] if name != "errors"]
    print_table(
        ["", *names],
        [[kind, *("-" if row[name] is None else str(row[name]) for name in names)]
         for kind, row in rows.items()],
    )  # fmt: skip
    click.echo(
        f"{len(memories)} bursts; {memories[0]:.0f} MB after the first, {memories[-1]:.0f} at last"
    )
    click.echo(
        f"alone: the server's first answers after {single['first']} s, its reply after "
        f"{single['whole']} s; the command line's after {single['command']} s"
    )
    print_json(
        {
            **rows,
            "alone": single,
            "bursts": len(memories),
            "memory_mb": [round(one, 1) for one in memories],
        }
    )


if __name__ == "__main__":
    run(main)
