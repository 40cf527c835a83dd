"""Who's who: what counts as a name, whose it is, and that nothing behind a bound is told."""

import string
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squadlite.library.book import open_book
from squadlite.library.bound import Bound
from squadlite.library.people import MAX_PEOPLE, NameKind, Person, find_people
from squadlite.library.structure import Chapter


def chapters_of(*texts: str) -> tuple[Chapter, ...]:
    return tuple(Chapter(number, "", "", text) for number, text in enumerate(texts))


def found(*texts: str) -> dict[str, Person]:
    return {person.name: person for person in find_people(chapters_of(*texts))}


def kinds(text: str) -> dict[str, str]:
    return {name: person.kind.value for name, person in found(text).items()}


PLAIN = "The rain fell on the roof of the inn, and nobody came to the door. "


def test_people_and_places_are_told_by_the_words_around_them() -> None:
    text = PLAIN + (
        "When Orla came from Sundby she said nothing. “And the mule?” said Orla. The road to "
        "Sundby was long. She lived in Sundby then, and Orla was tired. It was late when Orla came."
    )
    assert kinds(text) == {"Orla": "person", "Sundby": "place"}
    (orla, sundby) = find_people(chapters_of(text))
    assert (orla.count, sundby.count) == (4, 3)
    assert text[orla.offset :].startswith("Orla came")
    assert text[sundby.offset :].startswith("Sundby she")


def test_a_word_that_only_begins_sentences_is_no_name() -> None:
    text = "Nobody said a word. Then nobody asked. Nobody came. “Nobody!” said the man. " * 9
    assert found(PLAIN + text) == {}


def test_a_name_counts_at_the_beginning_of_sentences_once_it_is_known_inside() -> None:
    begun = "Orla laughed. “Orla!” cried the man. But Orla waited. "
    assert found(PLAIN + begun * 2)["Orla"].count == 6
    assert found(PLAIN + "Orla laughed. “Orla!” cried the man. " * 3) == {}


def test_an_ordinary_word_that_is_stressed_now_and_then_is_no_name() -> None:
    text = "She saw the wolf. The wolf looked at her. It was a Wolf, said the wolf, the very Wolf. "
    assert found(PLAIN + text * 3) == {}
    assert "Wolf" in found(PLAIN + "It was the Wolf, said the Wolf. So the Wolf came. " * 3)


def test_names_are_put_together_where_only_one_comes_into_question() -> None:
    text = PLAIN + (
        "It was Mr. Edmund Vane who came. So Edmund Vane said, and Vane laughed. The man was "
        "Mr. Vane. It was Edmund. There came Mrs. Vane and said that Mrs. Vane was ill. "
    )
    people = found(text)
    assert set(people) == {"Edmund Vane", "Mrs. Vane"}
    assert people["Edmund Vane"].count == 5
    assert set(people["Edmund Vane"].names) == {
        "Edmund", "Vane", "Edmund Vane", "Mr. Vane", "Mr. Edmund Vane"
    }  # fmt: skip


def test_a_name_of_two_people_is_neithers() -> None:
    text = PLAIN + (
        "“No,” said Jane Tull. “Yes,” said Anna Tull. “Why?” said Miss Tull. Then Jane Tull "
        "laughed, and so did Anna Tull. At noon Miss Tull left; Jane stayed, and so did Anna."
    )
    assert {name: person.count for name, person in found(text).items()} == {
        "Jane Tull": 3,
        "Anna Tull": 3,
        "Miss Tull": 2,
    }


def test_a_family_name_alone_is_the_mans() -> None:
    text = (
        PLAIN + "“No,” said Mr. Tull. “Yes,” said Mrs. Tull. So Tull left, and Tull was angry. " * 2
    )
    assert {name: person.count for name, person in found(text).items()} == {
        "Tull": 6,
        "Mrs. Tull": 2,
    }


def test_a_family_name_alone_is_not_the_wifes() -> None:
    text = (
        PLAIN + "“No,” said Mrs. Tull. “No,” said Tull to Mrs. Tull, and so Tull left the inn. " * 2
    )
    assert {name: person.count for name, person in found(text).items()} == {
        "Mrs. Tull": 4,
        "Tull": 4,
    }


def test_pronouns_tell_whose_a_title_is() -> None:
    text = PLAIN + (
        "Then Dora Tull took her hat. There Dora Tull lost her way. So Dora Tull told what she "
        "knew. Then Ben Tull took his hat. There Ben Tull lost his way. So Ben Tull told what "
        "he knew. “No,” said Mrs. Tull. “No,” said Mr. Tull."
    )
    people = found(text)
    assert people["Dora Tull"].names == ("Dora Tull", "Mrs. Tull")
    assert people["Ben Tull"].names == ("Ben Tull", "Mr. Tull")


def test_another_rank_is_another_person() -> None:
    text = (
        PLAIN
        + "Then Squire Tull said to Mr. Jonas Tull what Mr. Jonas Tull said to Squire Tull. " * 2
    )
    assert {name: person.count for name, person in found(text).items()} == {
        "Mr. Jonas Tull": 4,
        "Squire Tull": 4,
    }


def test_a_title_alone_is_the_name_of_who_bears_it() -> None:
    text = (
        PLAIN
        + "“Off!” said the Queen. So the Queen of Nails shouted, and then the Queen of Nails left. "
    )
    assert found(text)["Queen of Nails"].names == ("Queen of Nails", "Queen")
    many = "“Off!” said the Captain to Captain Ruud and Captain Holm. Then Captain Holm left. "
    assert "Captain" not in found(PLAIN + many * 2)


def test_of_goes_on_with_a_name_only_where_names_have_it() -> None:
    text = PLAIN + "Then Duke of Aldmoor asked for Mr. Ruud of Tarn Street. " * 3
    assert set(found(text)) == {"Duke of Aldmoor", "Mr. Ruud", "Tarn Street"}


def test_ships_and_machines_are_neither_people_nor_places() -> None:
    text = (
        "They sailed in the Gannet. At dawn the Gannet went south. All of them liked the Gannet. "
    )
    assert found(PLAIN + text * 5) == {}


def test_possessives_initials_hyphens_and_apostrophes_belong_to_names() -> None:
    text = PLAIN + (
        "It was J. R. O’Brien’s face. Then M. d’Arnac said that J. R. O’Brien knew. I saw "
        "Anne-Marie’s hands; then Anne-Marie laughed, said Anne-Marie. So M. d’Arnac left. "
        "J. R. O’Brien waited."
    )
    people = found(text)
    assert {name: person.count for name, person in people.items()} == {
        "J. R. O’Brien": 3,
        "Anne-Marie": 3,
        "M. d’Arnac": 2,
    }


def test_words_in_capitals_count_and_prove_nothing() -> None:
    text = "ORLA\n\n" + PLAIN + "“No,” said Orla. Then Orla left. “WHY NOT, SUNDBY?” said Orla. "
    people = found(text)
    assert set(people) == {"Orla"}
    assert (people["Orla"].count, people["Orla"].offset) == (4, 0)
    assert found("THE INN AT SUNDBY\n\nORLA SAID NO TO THE MAN IN SUNDBY. " * 50) == {}


def test_the_first_place_is_in_the_first_chapter_that_has_any_of_the_names() -> None:
    people = found(PLAIN, PLAIN + "Then came Orla.", "“No,” said Orla Tull. Then Orla Tull left.")
    assert (people["Orla Tull"].chapter, people["Orla Tull"].offset) == (1, len(PLAIN) + 10)


def test_weekdays_peoples_and_honours_are_no_names() -> None:
    text = "On Monday the English came, said His Majesty. In March the Spanish left, said God. "
    assert found(PLAIN + text * 9) == {}


GERMAN = (
    "Der Hund lag im Schatten, und die Frau sah nach dem Haus. In Wien war der Sommer heiß. "
    "„Nein“, sagte Hedwig. Der Wagen kam in Wien an, und Herr Brenner stieg aus dem Wagen. Da "
    "rief Hedwig, und Herr Brenner nahm den Hut. Die Frau sah den Hund im Schatten. „Doch“, "
    "sagte Hedwig. "
)


def test_in_another_language_only_titles_and_speech_make_people() -> None:
    assert {name: person.count for name, person in found(GERMAN * 3).items()} == {
        "Hedwig": 9,
        "Herr Brenner": 6,
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\n ",
        "I",
        ".",
        "“",
        "吾輩は猫である。名前はまだ無い。" * 50,
        "Он сказал, что Пётр ушёл в Москву. " * 50,
        "قال الرجل " * 50,
        "😀 👩‍👩‍👧 🇩🇪 " * 50,
        "\u0130\u0131\u1e9e\ufb01\u01c5 " * 50,
        "A\u0301\u0301\u0301 " * 50,
        "Mr. " * 50,
        "of the Of The " * 50,
        "Mr. of the Lord " * 50,
    ],
)
def test_texts_without_names_have_none(text: str) -> None:
    assert find_people(chapters_of(text)) == ()
    assert find_people(()) == ()


def test_emoji_and_chinese_between_words_hide_no_name() -> None:
    text = PLAIN + "😀 “No,” said Orla 👩‍👩‍👧. 吾輩 Then came Orla 猫である。 So Orla laughed. 🎉 "
    assert found(text)["Orla"].count == 3


def test_no_more_are_told_than_can_be_read() -> None:
    names = [first + second * 3 for first in string.ascii_uppercase[:15] for second in "abdefgklmn"]
    text = "".join(f"“No,” said {name}. Then came {name} and {name} laughed. " for name in names)
    people = find_people(chapters_of(PLAIN * 20 + text))
    assert len(people) == MAX_PEOPLE
    assert [person.count for person in people] == sorted(
        (person.count for person in people), reverse=True
    )


@pytest.mark.parametrize(
    "piece", ["Word ", "A", "Aa", "Mr.", "A.", "Aa-", "O'", "Aa of the ", "“", "said Alice. "]
)
def test_a_long_text_takes_a_time_in_proportion(piece: str) -> None:
    # A pass over 300 kB takes a tenth of a second, and would take minutes if it was quadratic.
    find_people(chapters_of(piece * (300_000 // len(piece))))


def test_ten_megabytes_of_one_word_are_read() -> None:
    assert find_people(chapters_of("Word " * 2_000_000)) == ()


WORDS = [
    *(
        "Orla",
        "Tull",
        "Ruud",
        "Sundby",
        "Mr.",
        "Mrs.",
        "Captain",
        "the",
        "Queen",
        "of",
        "said",
        "in",
    ),
    *("came", "she", "his", "nobody", "WHY", "and", "to"),
]


@st.composite
def books(draw: st.DrawFn) -> tuple[Chapter, ...]:
    texts = []
    for _ in range(draw(st.integers(0, 4))):
        words = draw(st.lists(st.sampled_from(WORDS), max_size=80))
        spaces = draw(
            st.lists(
                st.sampled_from([" ", " ", " ", ". ", ", ", "\n\n", "’s ", " “", ",” ", "-"]),
                min_size=len(words),
                max_size=len(words),
            )
        )
        texts.append("".join(word + space for word, space in zip(words, spaces, strict=True)))
    return chapters_of(*texts)


@settings(deadline=None, max_examples=100)
@given(books(), st.integers(0, 5), st.integers(0, 500))
def test_with_a_bound_people_are_those_of_a_book_that_ends_there(
    chapters: Sequence[Chapter], chapter: int, end: int
) -> None:
    known = [
        replace(of_book, text=of_book.text[:end]) if of_book.index == chapter else of_book
        for of_book in chapters[: chapter + 1]
    ]
    bounded = find_people(chapters, Bound(chapter, end))
    assert bounded == find_people(known)
    for person in bounded:
        text = known[person.chapter].text
        written = " ".join(text[person.offset :].split())
        assert person.name in person.names
        assert any(written.startswith(name) for name in person.names)


@settings(deadline=None)
@given(st.lists(st.text(max_size=300), max_size=3))
def test_any_text_has_people_or_none(texts: list[str]) -> None:
    for person in find_people(chapters_of(*texts)):
        assert person.count >= 2


# Main characters and places, from memory, and who else is named as often.
REAL_BOOKS = {
    "the-adventures-of-sherlock-holmes": (
        ("Holmes", "Watson", "Irene Adler", "Jabez Wilson", "Hosmer Angel", "Mr. Windibank",
         "Mary Sutherland", "Lestrade", "James McCarthy", "Neville St. Clair", "Henry Baker",
         "Helen Stoner", "Grimesby Roylott", "Violet Hunter", "Mr. Rucastle", "Lord St. Simon"),
        ("London", "Baker Street", "Briony Lodge", "Horsham"),
        ("Arthur", "Frank", "John Turner", "England"),
    ),
    "captain-blood": (
        ("Peter Blood", "Arabella Bishop", "Colonel Bishop", "Jeremy Pitt", "Levasseur",
         "Lord Julian Wade", "Wolverstone", "Hagthorpe", "Ogle", "Don Diego", "Don Miguel",
         "M. de Rivarol", "Cahusac", "Lord Willoughby", "Nuttall"),
        ("Tortuga", "Port Royal", "Jamaica", "Barbados", "Maracaybo", "Cartagena"),
        ("Admiral", "Governor", "King", "Baron", "M. de Cussy"),
    ),
    "silas-marner": (
        ("Silas Marner", "Eppie", "Godfrey Cass", "Dunstan Cass", "Nancy Lammeter",
         "Squire Cass", "Dolly Winthrop", "Aaron", "Priscilla Lammeter", "Mr. Macey",
         "William Dane", "Jem Rodney", "Molly", "Ben Winthrop", "Bryce"),
        ("Raveloe", "Lantern Yard", "Red House", "Rainbow"),
        ("Dunsey", "Dr. Kimble", "Mr. Lammeter"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("title", REAL_BOOKS)
def test_the_main_characters_and_places_of_real_books_are_told(title: str, shared: Path) -> None:
    people, places, others = REAL_BOOKS[title]
    found = find_people(open_book(shared / "books" / f"{title}.epub").chapters)

    def is_called(person: Person, name: str) -> bool:
        return any(name == known or known.endswith(f" {name}") for known in person.names)

    for kind, names in ((NameKind.PERSON, people), (NameKind.PLACE, places)):
        for name in names:
            kinds = [person.kind for person in found if is_called(person, name)]
            assert kinds[:1] == [kind], name
    known = (*people, *places, *others)
    wrong = [
        person.name for person in found[:20] if not any(is_called(person, name) for name in known)
    ]
    # A horse in one of the books speaks for itself.
    assert set(wrong) <= {"Wildfire"}
