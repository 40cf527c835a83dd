"""Who the server answers, and what it never does: attacks, each refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from epubs import package, page, write_epub
from servers import BOOK, TOKEN, add_book, ask, client_of, upload
from starlette.testclient import TestClient

from squadlite.server.security import TOKEN_COOKIE
from squadlite.server.uploads import safe_name

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(tmp_path_factory.mktemp("served")) as client:
        add_book(client)
        yield client


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(tmp_path_factory.mktemp("guarded"), host="0.0.0.0", token=TOKEN) as client:
        yield client


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8642", "127.0.0.1.evil.example", "192.168.0.7", "localhost@evil",
     "127.0.0.1:port", "[::1", "", "localhost.evil.example:8642", "user@localhost"],
)  # fmt: skip
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/api/books", "/static/x"):
        refused = client.get(path, headers={"Host": host})
        assert refused.status_code == 421
        assert list(refused.json()) == ["error"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8642", "[::1]:8642"])
def test_this_machines_own_names_are_known(client: TestClient, host: str) -> None:
    assert client.get("/api/books", headers={"Host": host}).status_code == 200


def test_bound_to_an_address_that_others_reach_it_is_known_by_addresses_only(
    guarded: TestClient,
) -> None:
    for host, status in (("192.168.0.7:8642", 200), ("[fe80::1]", 200), ("evil.example", 421)):
        headers = {"Host": host, "Authorization": f"Bearer {TOKEN}"}
        assert guarded.get("/api/books", headers=headers).status_code == status


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1.evil:8642", "http://["],
)
def test_another_sites_page_is_refused(client: TestClient, origin: str) -> None:
    for method, path in (("GET", "/api/books"), ("DELETE", "/api/books/1"), ("POST", "/api/books")):
        assert client.request(method, path, headers={"Origin": origin}).status_code == 403
    assert client.get("/api/books", headers={"Origin": "http://127.0.0.1:8642"}).status_code == 200
    assert len(client.get("/api/books").json()["books"]) == 1


def test_a_browser_that_says_that_another_site_asks_is_refused_but_for_a_link(
    client: TestClient,
) -> None:
    for site, mode, path, status in (
        ("cross-site", "no-cors", "/api/books", 403),
        ("same-site", "cors", "/api/books", 403),
        ("cross-site", "navigate", "/api/books/1/cover", 403),
        ("cross-site", "no-cors", "/static/icon.svg", 403),
        ("cross-site", "navigate", "/", 200),
        ("same-origin", "cors", "/api/books", 200),
        ("none", "navigate", "/api/books", 200),
    ):
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
        assert client.get(path, headers=headers).status_code == status, (site, mode, path)


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""],
)
def test_what_a_form_can_send_is_refused(client: TestClient, kind: str) -> None:
    """Even where a browser names no origin: forms can't send JSON's type, nor the file's name."""
    headers = {"Content-Type": kind}
    asked = client.post("/api/questions", content='{"question": "Who?"}', headers=headers)
    assert asked.status_code == 415
    assert client.post("/api/books", content=BOOK, headers=headers).status_code == 400
    assert client.put("/api/books/1/until", content="null", headers=headers).status_code == 415


def test_without_the_token_nothing_is_told(guarded: TestClient) -> None:
    for method, path in (
        ("GET", "/"), ("GET", "/api"), ("GET", "/api/books"), ("GET", "/api/books/1/cover"),
        ("POST", "/api/books"), ("POST", "/api/questions"), ("DELETE", "/api/books/1"),
        ("GET", "/nothing"), ("GET", "/api/books?token=" + TOKEN),
    ):  # fmt: skip
        refused = guarded.request(method, path)
        assert refused.status_code == 401, path
        assert "set-cookie" not in refused.headers


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "\N{PILE OF POO}", "é"])
def test_a_wrong_token_is_refused(guarded: TestClient, token: str) -> None:
    assert guarded.get("/", params={"token": token}).status_code == 401
    for headers in (
        {"Authorization": f"Bearer {token}".encode()},
        {"Authorization": f"Basic {TOKEN}".encode()},
        {"Cookie": f"{TOKEN_COOKIE}={token}".encode()},
    ):
        assert guarded.get("/api/books", headers=headers).status_code == 401


def test_tokens_are_compared_in_constant_time(
    guarded: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def compare(given: bytes, known: bytes) -> bool:
        compared.append((given, known))
        return False

    monkeypatch.setattr("hmac.compare_digest", compare)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/api/books", headers=headers).status_code == 401
    assert compared == [(TOKEN.encode(), TOKEN.encode())]


def test_the_link_gives_a_cookie_that_scripts_and_other_sites_cant_use(guarded: TestClient) -> None:
    page = guarded.get("/", params={"token": TOKEN})
    assert page.status_code == 200
    cookie = page.headers["set-cookie"]
    assert cookie == f"{TOKEN_COOKIE}={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    assert guarded.get("/api/books").status_code == 200
    guarded.cookies.clear()
    assert guarded.get("/api/books").status_code == 401
    assert guarded.get("/icon.svg").status_code == 200


def test_a_link_from_another_site_with_the_token_gives_no_cookie_to_another_host(
    guarded: TestClient,
) -> None:
    refused = guarded.get("/", params={"token": TOKEN}, headers={"Host": "evil.example"})
    assert refused.status_code == 421
    assert "set-cookie" not in refused.headers


def test_every_reply_forbids_scripts_of_others_and_tells_nobody(client: TestClient) -> None:
    for path in ("/", "/api", "/api/books", "/static/index.html", "/nothing", "/api/books/9"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd",
     "/static/..%5capp.py", "/static/%00", "/api/uploads/..%2f..", "/static/....//app.py"],
)  # fmt: skip
def test_no_path_leads_out_of_the_pages_folder(client: TestClient, path: str) -> None:
    refused = client.get(path)
    assert refused.status_code == 404
    assert list(refused.json()) == ["error"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("the%20salt%20road.epub", "the salt road.epub"),
        ("../../etc/passwd", "passwd"),
        ("..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("C:%5Cbooks%5Cferry.md", "ferry.md"),
        ("..", "book"),
        ("", "book"),
        ("%00a%0Ab.txt", "_a_b.txt"),
        (".hidden", "hidden"),
        ("%FF.txt", "\N{REPLACEMENT CHARACTER}.txt"),
        ("%F0%9F%93%96" * 200 + ".epub", "\N{OPEN BOOK}" * 30 + ".epub"),
        ("a." + "b" * 3000, ("a." + "b" * 3000)[:120]),
        ("con|pipe?.md", "con_pipe_.md"),
    ],
)
def test_a_books_name_stays_in_its_folder(name: str, expected: str) -> None:
    assert safe_name(name) == expected


def hostile_epub(path: Path) -> bytes:
    evil = EVIL.replace("<", "&lt;")
    metadata = (
        f"<dc:title>{evil}</dc:title><dc:creator>{evil}</dc:creator><dc:language>{evil}"
        "</dc:language>"
    )
    cover = '<item id="c" href="c.svg" media-type="image/svg+xml" properties="cover-image"/>'
    body = (
        f"<h1>{evil}</h1><p>{evil} and <a href='http://evil.example/'>a link</a></p>{EVIL}"
        "<p onclick='alert(1)'>Words <img src='http://evil.example/x.png' onerror='alert(1)'/></p>"
        "<iframe src='http://evil.example/'></iframe><p>The mule was grey.</p>"
    )
    write_epub(
        path,
        {
            "OPS/book.opf": package(["1.xhtml"], metadata=metadata, extra=cover),
            "OPS/1.xhtml": page(body),
            "OPS/c.svg": f'<svg xmlns="http://www.w3.org/2000/svg">{EVIL}</svg>',
        },
    )
    return path.read_bytes()


def test_nothing_of_a_hostile_book_is_run_or_asked_for(client: TestClient, tmp_path: Path) -> None:
    number = add_book(client, hostile_epub(tmp_path / "evil.epub"), f"{EVIL}.epub")
    book = client.get(f"/api/books/{number}").json()
    # Text, which the page shows as text; JSON is never taken for a page.
    assert book["title"] == EVIL
    assert book["cover"] is None
    assert client.get(f"/api/books/{number}/cover").status_code == 404
    shown = client.get(f"/api/books/{number}/chapters/0")
    assert shown.headers["content-type"] == "application/json"
    html = shown.json()["html"]
    assert html.count("<") == html.count("<p data-start=") + html.count("</p>")
    assert "&lt;script&gt;" in html
    assert "evil.example" not in html
    reply = dict(ask(client, "What was grey?", books=[number]))["reply"]
    assert reply["answers"][0]["book"]["title"] == EVIL
    assert client.delete(f"/api/books/{number}").status_code == 204


def test_an_svg_that_says_it_is_a_png_is_no_cover(client: TestClient, tmp_path: Path) -> None:
    item = '<item id="c" href="c.png" media-type="image/png" properties="cover-image"/>'
    path = write_epub(
        tmp_path / "svg.epub",
        {
            "OPS/book.opf": package(["1.xhtml"], extra=item),
            "OPS/1.xhtml": page("<p>The mule was grey.</p>"),
            "OPS/c.png": f'<svg xmlns="http://www.w3.org/2000/svg">{EVIL}</svg>',
        },
    )
    name, book = upload(client, path.read_bytes(), "svg.epub")[-1]
    assert (name, book["cover"]) == ("book", None)
    assert client.delete(f"/api/books/{book['id']}").status_code == 204
