"""The page of `squadlite serve`, as who reads and asks meets it."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import DISPLAYS, PATIENCE_MS, SALT_ROAD, Display, Server

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
expect = playwright.expect
expect.set_options(timeout=PATIENCE_MS)

pytestmark = pytest.mark.browser

QUESTION = "What did Rusk ask for instead of the toll?"
ANSWER = "a hatful of salt"
CHAPTER = "The Toll at Thief Bridge"
UNANSWERABLE = "What is the capital of France?"

# Whether a page that is opened again would find all its files.
KEEPS_ITSELF = """async () => {
    const kept = await caches.open("page");
    const loaded = performance.getEntriesByType("resource");
    const names = loaded.map(({ name }) => new URL(name).pathname);
    const own = ["/", "/static/js/main.js", ...names.filter((name) => !name.startsWith("/api"))];
    return (await Promise.all(own.map((name) => kept.match(name)))).every(Boolean);
}"""

Look = Callable[..., Any]


def wait_until_kept(page: Any) -> None:
    # Playwright's own `wait_for_function` takes the promise of an answer for the answer.
    until = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(KEEPS_ITSELF):
        assert time.monotonic() < until, "the page isn't kept"
        page.wait_for_timeout(50)


def add_book(page: Any, path: Path = SALT_ROAD) -> None:
    page.locator("input[type=file]").first.set_input_files(path)
    expect(page.get_by_role("link", name="The Salt Road")).to_be_visible()


def open_book(page: Any) -> None:
    page.get_by_role("link", name="The Salt Road").click()
    expect(page.get_by_role("heading", level=1, name="The Salt Road")).to_be_visible()


def open_chapter(page: Any, link: str, title: str) -> None:
    page.get_by_role("link", name=link, exact=True).click()
    expect(page.locator(".page h1")).to_have_text(title)


def ask(page: Any, question: str) -> None:
    field = page.locator("[name=question]").last
    field.fill(question)
    field.press("Enter")
    # Until the page is that of this question it shows the last one's answers.
    expect(page.locator("h1")).to_have_text(question)
    expect(page.locator(".answer.best:visible, .silence").first).to_be_visible()
    expect(page.locator(".working")).to_have_count(0)


@pytest.mark.parametrize("display", DISPLAYS, ids=str)
def test_a_book_is_added_asked_opened_at_the_answer_bounded_and_found_again(
    look: Look, display: Display, screenshot: Callable[[Any, str], None]
) -> None:
    page = look(display)
    expect(page.locator("html")).to_have_attribute("data-theme", display.theme)
    expect(page.get_by_text("An empty shelf.")).to_be_visible()
    add_book(page)
    screenshot(page, f"shelf_{display}")

    open_book(page)
    expect(page.get_by_role("link", name=re.compile("^Who is Marit"))).to_be_visible()
    screenshot(page, f"book_{display}")

    ask(page, QUESTION)
    best = page.locator(".answer.best")
    expect(best.get_by_role("link", name=ANSWER)).to_be_visible()
    expect(best.locator("cite")).to_have_text(CHAPTER)
    expect(best.locator("mark")).to_have_text(ANSWER)
    expect(best).to_contain_text(re.compile(r"sure, \d+%"))
    screenshot(page, f"answers_{display}")

    page.keyboard.press("j")
    expect(best.get_by_role("link", name=ANSWER)).to_be_focused()
    page.keyboard.press("Enter")
    mark = page.locator(".page mark")
    expect(mark).to_have_text(ANSWER)
    expect(mark).to_be_in_viewport()
    expect(page.locator(".page h1")).to_have_text(CHAPTER)
    screenshot(page, f"reader_{display}")
    page.reload()
    expect(mark).to_be_in_viewport()

    page.keyboard.press("Escape")
    expect(best.get_by_role("link", name=ANSWER)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Contents")).to_be_visible()

    # Reading, and telling so: what comes later isn't told of from then on.
    open_chapter(page, "The Widow’s Contract", "The Widow’s Contract")
    page.get_by_role("button", name="I’ve read up to here").click()
    expect(page.locator(".page .bound")).to_be_visible()
    expect(page.locator("#toast")).to_contain_text("Answers now stop here.")
    page.keyboard.press("/")
    ask(page, QUESTION)
    expect(page.locator("#main")).not_to_contain_text("hatful")
    expect(page.locator("#main")).not_to_contain_text(CHAPTER)

    page.reload()
    expect(page.locator(".answer.best:visible, .silence").first).to_be_visible()
    expect(page.locator("#main")).not_to_contain_text("hatful")
    page.goto(page.url.split("#")[0])
    open_book(page)
    expect(page.locator(".bound-note")).to_contain_text("The Widow’s Contract")
    expect(page.locator(".asked")).to_contain_text(QUESTION)
    assert no_sideways_scrolling(page)


def no_sideways_scrolling(page: Any) -> bool:
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return bool(page.evaluate(width) <= 0)


def test_a_bound_can_be_taken_back(look: Look) -> None:
    page = look()
    add_book(page)
    open_book(page)
    open_chapter(page, "The Widow’s Contract", "The Widow’s Contract")
    page.keyboard.press("b")
    expect(page.locator(".page .bound")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".page .bound")).to_have_count(0)

    page.keyboard.press("b")
    expect(page.locator(".page .bound")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Answer from the whole book").click()
    expect(page.locator(".bound-note")).to_contain_text("Answers come from the whole book.")
    ask(page, QUESTION)
    expect(page.locator(".answer.best")).to_contain_text(ANSWER)


def test_what_the_book_doesnt_say_is_said_and_guesses_are_folded_away(look: Look) -> None:
    page = look()
    add_book(page)
    open_book(page)
    ask(page, UNANSWERABLE)
    expect(page.get_by_role("heading", name="The Salt Road doesn’t say.")).to_be_visible()
    expect(page.locator(".silence .answer").first).to_be_hidden()
    page.locator(".silence summary").click()
    expect(page.locator(".silence .answer").first).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(".silence .answer a").first).to_be_focused()


def test_the_whole_shelf_is_asked_and_each_answer_names_its_book(look: Look) -> None:
    page = look()
    add_book(page)
    page.keyboard.press("/")
    ask(page, QUESTION)
    expect(page.locator(".answer.best cite")).to_have_text(f"The Salt Road, {CHAPTER}")


def test_the_readers_place_and_display_are_found_again(look: Look) -> None:
    page = look()
    add_book(page)
    open_book(page)
    open_chapter(page, "Read", "The Widow’s Contract")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".page h1")).to_have_text("The Boy at Crow Bridge")
    fourth = page.locator(".page p").nth(3)
    fourth.evaluate("element => element.scrollIntoView({ block: 'start' })")
    with page.expect_response(lambda reply: reply.url.endswith("/position")):
        page.mouse.wheel(0, 1)
    page.get_by_role("button", name="Text and theme").click()
    page.get_by_text("Dark", exact=True).click()
    page.get_by_label("Size of the book’s text").fill("4")
    page.keyboard.press("Escape")

    page.goto(page.url.split("#")[0])
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("data-size", "4")
    expect(page.get_by_text("Chapter 2 of 6")).to_be_visible()
    open_book(page)
    page.get_by_role("link", name="Read on").click()
    expect(page.locator(".page h1")).to_have_text("The Boy at Crow Bridge")
    expect(fourth).to_be_in_viewport()
    expect(page.locator(".page h1")).not_to_be_in_viewport()


def test_looking_an_answer_up_leaves_the_readers_place(look: Look) -> None:
    page = look()
    add_book(page)
    open_book(page)
    with page.expect_response(lambda reply: reply.url.endswith("/position")):
        open_chapter(page, "Weather", "Weather")
    page.keyboard.press("/")
    ask(page, QUESTION)
    page.locator(".answer.best").get_by_role("link", name=ANSWER).click()
    expect(page.locator(".page mark")).to_be_in_viewport()
    page.get_by_role("link", name="The Salt Road").click()
    expect(page.locator(".contents [aria-current]")).to_have_text("Weather")


def test_who_is_who_asks_and_opens_the_book_where_a_name_is_first(look: Look) -> None:
    page = look()
    add_book(page)
    open_book(page)
    page.get_by_role("link", name="Rusk, first in The Toll at Thief Bridge").click()
    expect(page.locator(".page mark")).to_have_text("Rusk")
    expect(page.locator(".page mark")).to_be_in_viewport()
    page.keyboard.press("Escape")
    page.get_by_role("link", name=re.compile("^Who is Marit")).click()
    expect(page.locator("[name=question]")).to_have_value(re.compile("^Who is Marit"))
    expect(page.locator(".answer.best:visible, .silence").first).to_be_visible()


def test_questions_are_forgotten_one_by_one_and_all(look: Look) -> None:
    page = look()
    add_book(page)
    open_book(page)
    for question in (QUESTION, UNANSWERABLE, "Who is Rusk?"):
        ask(page, question)
    page.get_by_role("navigation", name="Where you are").get_by_text("The Salt Road").click()
    asked = page.locator(".asked li")
    expect(asked).to_have_text(["Who is Rusk?", UNANSWERABLE, QUESTION])
    page.get_by_role("button", name=f"Forget “{UNANSWERABLE}”").click()
    expect(asked).to_have_text(["Who is Rusk?", QUESTION])
    page.get_by_role("button", name="Forget all").click()
    expect(asked).to_have_count(0)
    page.reload()
    expect(page.get_by_role("heading", name="Contents")).to_be_visible()
    expect(asked).to_have_count(0)


def test_the_shelf_is_searched_and_a_book_removed(look: Look, tmp_path: Path) -> None:
    page = look()
    add_book(page)
    other = tmp_path / "the-ferry.md"
    other.write_text("# The Ferry\n\nThe ferryman was paid in apples.\n", encoding="utf-8")
    page.locator("#add-books").set_input_files(other)
    ferry = page.get_by_role("link", name="The Ferry")
    expect(ferry).to_be_visible()
    page.get_by_label("Find a book by title or author").fill("FERRY")
    expect(page.locator(".book")).to_have_count(1)
    ferry.click()
    page.get_by_role("button", name="Remove from the shelf").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("heading", level=1, name="The Ferry")).to_be_visible()
    page.get_by_role("button", name="Remove from the shelf").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#toast")).to_contain_text("Removed The Ferry.")
    expect(page.locator(".book")).to_have_count(1)
    expect(ferry).to_have_count(0)


def test_a_file_that_is_no_book_is_refused_in_its_place(look: Look, tmp_path: Path) -> None:
    page = look()
    broken = tmp_path / "broken.epub"
    broken.write_bytes(b"PK\x03\x04 not a book at all")
    page.locator("#add-books").set_input_files(broken)
    expect(page.locator(".pending .error")).to_be_visible()
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("An empty shelf.")).to_be_visible()


def test_markup_in_a_book_is_shown_as_the_text_that_it_is(look: Look, tmp_path: Path) -> None:
    page = look()
    book = tmp_path / "sly.txt"
    text = "<script>document.title = 'run'</script> & <img src=https://example.org/x.png>"
    book.write_text(f"A Sly Book\n\n{text}\n", encoding="utf-8")
    page.locator("#add-books").set_input_files(book)
    page.locator(".book a").first.click()
    page.get_by_role("link", name="Read", exact=True).click()
    expect(page.locator(".page")).to_contain_text(text)
    assert page.locator("main script, main .page img").count() == 0
    assert page.title() != "run"


def test_the_page_says_when_the_server_is_gone_and_goes_on_when_it_is_back(
    browser: Any, tmp_path: Path
) -> None:
    server = Server(tmp_path)
    server.start()
    try:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(server.url)
        expect(page.get_by_text("An empty shelf.")).to_be_visible()
        expect(page.get_by_role("alert")).to_be_empty()
        server.stop()
        expect(page.get_by_role("alert")).to_contain_text("squadlite isn’t answering.")
        server.start()
        expect(page.get_by_role("alert")).to_be_empty()
        page.close()
    finally:
        server.stop()


def test_a_page_opened_again_while_the_server_is_gone_says_so(browser: Any, tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    try:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(server.url)
        expect(page.get_by_text("An empty shelf.")).to_be_visible()
        wait_until_kept(page)
        server.stop()
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("squadlite isn’t answering.")
        server.start()
        expect(page.get_by_role("alert")).to_be_empty()
        expect(page.get_by_text("An empty shelf.")).to_be_visible()
        page.close()
    finally:
        server.stop()


@pytest.mark.parametrize("display", DISPLAYS, ids=str)
def test_axe_finds_no_violation(look: Look, display: Display) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    page = look(display)
    found = {}

    def check(view: str) -> None:
        results = axe.Axe().run(page)
        if results.violations_count:
            found[view] = results.generate_report()

    expect(page.get_by_text("An empty shelf.")).to_be_visible()
    check("empty shelf")
    add_book(page)
    check("shelf")
    open_book(page)
    expect(page.locator(".people")).to_be_visible()
    check("book")
    ask(page, UNANSWERABLE)
    page.locator(".silence summary").click()
    check("silence")
    ask(page, QUESTION)
    check("answers")
    page.locator(".answer.best").get_by_role("link", name=ANSWER).click()
    expect(page.locator(".page mark")).to_be_visible()
    page.get_by_role("button", name="I’ve read up to here").click()
    expect(page.locator(".page .bound")).to_be_attached()
    check("reader")
    page.get_by_role("button", name="Contents").click()
    check("contents")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Text and theme").click()
    check("display")
    assert not found, "\n".join(f"{view}: {report}" for view, report in found.items())
