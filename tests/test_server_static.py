"""The page's files: light, from this server alone, and within a strict content security policy."""

import json
import re
from pathlib import Path

import squadlite

STATIC = Path(squadlite.__file__).parent / "server" / "static"
MAX_BYTES = 150_000
# A name that no browser ever asks for.
SVG_NAMESPACE = "http://www.w3.org/2000/svg"


def files() -> list[Path]:
    return [path for path in STATIC.rglob("*") if path.is_file()]


def test_the_page_weighs_little() -> None:
    assert 0 < sum(path.stat().st_size for path in files()) <= MAX_BYTES


def test_nothing_is_named_on_another_host() -> None:
    for path in files():
        text = path.read_bytes().decode("utf-8", "replace").replace(SVG_NAMESPACE, "")
        assert not re.search(r"https?://|url\(|[\"'(]//\w", text), path


def test_the_html_has_no_script_or_style_of_its_own() -> None:
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=", html)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", html))


def test_every_file_that_the_page_names_is_there() -> None:
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    modules = "".join(path.read_text(encoding="utf-8") for path in STATIC.glob("js/*.js"))
    named = {name.removeprefix("/static") for name in re.findall(r"(?:href|src)=\"(/\S+?)\"", html)}
    named |= {f"/js/{name}" for name in re.findall(r"from \"\./(\w+\.js)\"", modules)}
    assert len(named) > 10
    for name in named:
        assert (STATIC / name[1:]).is_file(), name


def test_the_page_can_be_installed() -> None:
    manifest = json.loads((STATIC / "manifest.webmanifest").read_text(encoding="utf-8"))
    assert {"name", "start_url", "display", "icons"} <= manifest.keys()
    assert manifest["display"] == "standalone"
    assert all((STATIC / icon["src"][1:]).is_file() for icon in manifest["icons"])
