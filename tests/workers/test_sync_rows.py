"""Entries become rows or named problems; no file, no database."""

import json

import pytest

from tests.workers.catalogue_folder import a_card, a_set
from workers.sync import rows


def page(*entries: object) -> list[bytes]:
    return [json.dumps({"data": entries}).encode()]


def card_row(**fields: object) -> dict[str, object]:
    (row,) = rows.cards(page(a_card("s1", "1", **fields)), "s1").rows
    return dict(zip(rows.CARD_COLUMNS, row, strict=True))


def test_a_card_keeps_its_values_and_lists_become_compact_json():
    row = card_row(types=["Étoile", "B"], attacks=[{"name": 'a "b"', "cost": []}], hp="120")

    assert row["types"] == '["Étoile","B"]'
    assert row["attacks"] == '[{"name":"a \\"b\\"","cost":[]}]'
    assert (row["hp"], row["number"], row["set_id"]) == (120, "1", "s1")


@pytest.mark.parametrize("number", ["TG01", "SWSH001", "RC1", "007", "½"])
def test_a_number_is_text_as_it_was_written(number):
    assert card_row(number=number)["number"] == number


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"hp": None}, "hp"),
        ({"tcgplayer": None}, "tcgplayer_url"),
        ({"cardmarket": {"prices": {}}}, "cardmarket_url"),
        ({"rules": None}, "rules"),
    ],
)
def test_null_and_absent_become_null(fields, column):
    assert card_row(**fields)[column] is None


def test_the_extremes_of_64_bits_pass_and_nested_numbers_may_be_larger():
    row = card_row(convertedRetreatCost=2**63 - 1, ancientTrait={"n": 2**70, "x": 1.5})

    assert row["converted_retreat_cost"] == 2**63 - 1
    assert row["ancient_trait"] == f'{{"n":{2**70},"x":1.5}}'


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": ["a"]}, "entry 2 (s1-9): name: expected `str`, got `array`"),
        ({"hp": "abc"}, "entry 2 (s1-9): hp: expected 1 to 18 digits, got 3 characters"),
        ({"hp": ""}, "hp: expected 1 to 18 digits"),
        ({"hp": "１２"}, "hp: expected 1 to 18 digits"),
        ({"hp": "9" * 19}, "hp: expected 1 to 18 digits"),
        ({"number": None}, "number: expected `str`, got `null`"),
        ({"number": 7}, "number: expected `str`, got `int`"),
        ({"types": ["a", 1]}, "types[1]: expected `str`, got `int`"),
        ({"attacks": ["a"]}, "attacks[0]: expected `object`, got `str`"),
        ({"convertedRetreatCost": 2**63}, "convertedRetreatCost: expected `int` <="),
        ({"convertedRetreatCost": True}, "convertedRetreatCost: expected `int | null`"),
        ({"legalities": {"x": float("nan")}}, "holds a number that JSON cannot hold"),
        ({"name": "\ud800"}, "holds half a surrogate pair"),
        ({"id": ""}, "id: expected `str` of length >= 1"),
        ({"id": "s1-1"}, "entry 2 (s1-1): id: this id appears twice"),
        ({"set": {"id": "s2"}}, 'set.id: expected "s1", got "s2"'),
    ],
)
def test_each_mistake_is_named_with_its_entry_and_field(entry, words):
    good, bad = a_card("s1", "1"), a_card("s1", "9") | entry

    parsed = rows.cards(page(good, bad), "s1")

    assert len(parsed.rows) == 1
    assert words in parsed.problems[0].text


@pytest.mark.parametrize("key", ["id", "name", "supertype", "number"])
def test_a_missing_key_that_a_card_cannot_do_without_is_named(key):
    entry = a_card("s1", "1")
    del entry[key]

    (problem,) = rows.cards(page(entry), "s1").problems

    assert f"`{key}`" in problem.text


@pytest.mark.parametrize("entry", [3, None, "card", ["id"]])
def test_an_entry_that_is_no_object_is_named_by_its_place(entry):
    (problem,) = rows.cards(page(a_card("s1", "1"), entry), "s1").problems

    assert problem.text.startswith("entry 2: expected `object`")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b'{"data": null}', b"\xff", b"\xef\xbb\xbf", b"[" * 100_000]
)
def test_a_document_that_is_none_is_one_problem(text):
    assert len(rows.cards([text], "s1").problems) == 1


def test_all_mistakes_of_a_document_are_found_across_its_pages():
    bad = a_card("s1", "1", hp="x")

    parsed = rows.cards([*page(bad, bad), *page(3)], "s1")

    assert [one.text.split(":")[0] for one in parsed.problems] == [
        "entry 1 (s1-1)",
        "entry 2 (s1-1)",
        "entry 3",
    ]


@pytest.mark.parametrize("set_id", ["../../etc", "a/b", "a b", 'a"', ".", "a\0", "a\n"])
def test_a_set_id_that_could_leave_its_folder_is_refused(set_id):
    (problem,) = rows.sets(page(a_set(set_id))).problems

    assert "id: expected letters, digits" in problem.text
