"""Ranking: what makes one passage better than another."""

from squadlite.library.ranking import CLOSE_WORDS, PassageTable, Term, rank_passages


def table(*chapters: int) -> PassageTable:
    return PassageTable(chapters, [150] * len(chapters))


def order(terms: list[Term], passages: PassageTable, limit: int = 10) -> list[int]:
    return [passage for passage, _ in rank_passages(terms, passages, limit=limit)]


def test_a_rare_term_weighs_more_than_a_common_one() -> None:
    rare = Term(1.0, {9: [0]})
    common = Term(1.0, {1: [0], 3: [0], 5: [0], 7: [0]})
    assert order([rare, common], table(*range(10)))[0] == 9


def test_more_of_the_terms_is_better_than_more_of_one() -> None:
    first = Term(1.0, {2: [0, 50, 100], 8: [0]})
    second = Term(1.0, {8: [100], 4: [0]})
    assert order([first, second], table(*[0] * 10))[0] == 8


def test_terms_close_together_are_better_than_far_apart() -> None:
    first = Term(1.0, {2: [0], 8: [0]})
    second = Term(1.0, {2: [CLOSE_WORDS + 1], 8: [CLOSE_WORDS]})
    assert order([first, second], table(*[0] * 10))[:2] == [8, 2]


def test_a_passage_beside_one_with_a_term_is_found_but_not_across_chapters() -> None:
    name = Term(1.0, {3: [0]})
    assert order([name], table(0, 0, 0, 1, 1, 1)) == [3, 2, 1]


def test_a_term_elsewhere_in_the_chapter_counts() -> None:
    name = Term(1.0, {1: [0]})
    thing = Term(1.0, {7: [0], 14: [0]})
    passages = table(*[0] * 10, *[1] * 10)
    assert order([name, thing], passages, limit=20).index(7) < order(
        [name, thing], passages, limit=20
    ).index(14)


def test_a_related_word_counts_by_its_weight() -> None:
    asked, related = Term(1.0, {2: [0]}), Term(0.4, {8: [0]})
    assert order([asked, related], table(*[0] * 10))[0] == 2
    assert 8 in order([asked, related], table(*[0] * 10))


def test_no_more_than_the_limit_and_the_same_every_time() -> None:
    same = Term(1.0, {number: [0] for number in range(1, 30)})
    ranked = rank_passages([same], table(*[0] * 40), limit=5)
    assert len(ranked) == 5
    assert ranked == rank_passages([same], table(*[0] * 40), limit=5)
    assert [score for _, score in ranked] == sorted((score for _, score in ranked), reverse=True)


def test_without_terms_nothing_is_found() -> None:
    assert rank_passages([], table(0, 0), limit=5) == []
