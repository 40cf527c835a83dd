"""A server of the command line's, and a browser that looks at its page."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

ROOT = Path(__file__).resolve().parents[2]
SALT_ROAD = ROOT / "tests" / "books" / "the-salt-road.epub"
# The machine may be busy with other work.
PATIENCE_MS = 45_000


@dataclass(frozen=True)
class Display:
    """A screen: its size, its colours, and whether it is touched."""

    width: int
    height: int
    theme: str

    @property
    def is_phone(self) -> bool:
        return self.width < 600

    def __str__(self) -> str:
        return f"{'phone' if self.is_phone else 'wide'}-{self.theme}"


WIDE = Display(1280, 800, "light")
DISPLAYS = [
    WIDE,
    Display(1280, 800, "dark"),
    Display(390, 844, "light"),
    Display(390, 844, "dark"),
]


class Server:
    """`squadlite serve` in a process of its own, over a library in a folder."""

    def __init__(self, folder: Path) -> None:
        self._library = folder / "library.db"
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Start it, at the same address where it was started before."""
        options = ["--port", str(self._port), "--library", str(self._library)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "squadlite", "serve", "--json", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"squadlite serve ended with {self._process.wait()}"
        self.url = json.loads(line)["url"].rstrip("/")
        self._port = urlsplit(self.url).port or 0

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=60)
            self._process = None

    def clear(self) -> None:
        """Take all books off the shelf."""
        with urllib.request.urlopen(f"{self.url}/api/books", timeout=60) as reply:
            books = json.load(reply)["books"]
        for book in books:
            address = f"{self.url}/api/books/{book['id']}"
            request = urllib.request.Request(address, method="DELETE")
            urllib.request.urlopen(request, timeout=60).close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("served"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    # Chromium has no sandbox for root, which tests in a container run as.
    options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=found, args=options)
        yield launched
        launched.close()


@pytest.fixture
def look(server: Server, browser: Any) -> Iterator[Callable[..., Any]]:
    """
    Open an empty shelf on a display. A test fails by any request to another host, any error of a
    script, and anything that the content security policy refuses.
    """
    server.clear()
    contexts = []
    complaints: list[str] = []

    def note_request(request: Any) -> None:
        if not request.url.startswith((f"{server.url}/", "blob:")):
            complaints.append(f"request to another host: {request.url}")

    def note_message(message: Any) -> None:
        if "Content Security Policy" in message.text:
            complaints.append(message.text)

    def open_page(display: Display = WIDE) -> Any:
        context = browser.new_context(
            viewport={"width": display.width, "height": display.height},
            color_scheme=display.theme,
            is_mobile=display.is_phone,
            has_touch=display.is_phone,
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", note_request)
        page = context.new_page()
        page.on("console", note_message)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{server.url}/")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def screenshot(tmp_path: Path) -> Callable[[Any, str], None]:
    """Keep a picture of a page; SQUADLITE_SCREENSHOTS names the folder where they are wanted."""
    folder = Path(os.environ.get("SQUADLITE_SCREENSHOTS") or tmp_path)

    def keep(page: Any, name: str) -> None:
        page.screenshot(path=folder / f"serve_{name.replace('-', '_')}.png", animations="disabled")

    return keep
