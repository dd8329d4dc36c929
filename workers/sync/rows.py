"""Convert entries of a catalogue to rows of the two tables, or report what is wrong.

Pure. A valid document is decoded at once into typed structs. Only an invalid one is decoded
entry by entry, to name each mistake. Invariant: every returned row fits its table, and no
entry is dropped without an EntryProblem. Enter at `sets` and `cards`.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from workers.units import format_count

# Part of the digest of a document: increment it when the conversion changes.
ROWS_VERSION = 1

SET_COLUMNS = (
    *("id", "name", "series", "printed_total", "total", "legalities", "ptcgo_code"),
    *("release_date", "updated_at", "images"),
)
CARD_COLUMNS = (
    *("id", "name", "supertype", "subtypes", "level", "hp", "types", "evolves_from"),
    *("evolves_to", "rules", "abilities", "ancient_trait", "attacks", "weaknesses"),
    *("resistances", "retreat_cost", "converted_retreat_cost", "set_id", "number", "artist"),
    *("rarity", "flavor_text", "regulation_mark", "national_pokedex_numbers", "legalities"),
    *("images", "tcgplayer_url", "cardmarket_url"),
)

Row = tuple[str | int | None, ...]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Texts = list[str]
_Things = list[dict[str, Any]]
_Thing = dict[str, Any]

# A set's id becomes part of a path and of a query: no slash, space or quote.
_SET_ID = re.compile(r"\w[\w.-]{0,99}")
# 18 digits always fit SQLite's 64-bit integers.
_HP = re.compile(r"[0-9]{1,18}")
# RecursionError: a document nested 10,000 levels deep.
_NOT_DECODED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class SetEntry(msgspec.Struct, rename="camel"):
    """A set in the catalogue; unknown fields are ignored."""

    id: _Id
    name: str
    series: str
    printed_total: _Count
    total: _Count
    release_date: str
    legalities: _Thing | None = None
    ptcgo_code: str | None = None
    updated_at: str | None = None
    images: _Thing | None = None


class Named(msgspec.Struct):
    """The id of the set that each card repeats."""

    id: str


class Linked(msgspec.Struct):
    """The URL of a shop's prices."""

    url: str | None = None


class CardEntry(msgspec.Struct, rename="camel"):
    """A card in the catalogue; null and absent mean the same."""

    id: _Id
    name: str
    supertype: str
    number: str
    set: Named | None = None
    subtypes: _Texts | None = None
    level: str | None = None
    hp: str | None = None
    types: _Texts | None = None
    evolves_from: str | None = None
    evolves_to: _Texts | None = None
    rules: _Texts | None = None
    abilities: _Things | None = None
    ancient_trait: _Thing | None = None
    attacks: _Things | None = None
    weaknesses: _Things | None = None
    resistances: _Things | None = None
    retreat_cost: _Texts | None = None
    converted_retreat_cost: _Whole | None = None
    artist: str | None = None
    rarity: str | None = None
    flavor_text: str | None = None
    regulation_mark: str | None = None
    national_pokedex_numbers: list[_Whole] | None = None
    legalities: _Thing | None = None
    images: _Thing | None = None
    tcgplayer: Linked | None = None
    cardmarket: Linked | None = None


class SetPage(msgspec.Struct):
    """A document of sets."""

    data: list[SetEntry]


class CardPage(msgspec.Struct):
    """A document of cards."""

    data: list[CardEntry]


@dataclass(frozen=True, slots=True)
class EntryProblem:
    """One mistake: the entry's id if it has one, and a sentence that names it."""

    entry_id: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rows of the valid entries, and an EntryProblem for each other entry."""

    rows: tuple[Row, ...]
    problems: tuple[EntryProblem, ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    """The decoders of a page (to an object with `data`) and of a single entry."""

    page: Callable[[bytes], Any]
    entry: Callable[[bytes], Any]


_SETS = _Kind(msgspec.json.Decoder(SetPage).decode, msgspec.json.Decoder(SetEntry).decode)
_CARDS = _Kind(msgspec.json.Decoder(CardPage).decode, msgspec.json.Decoder(CardEntry).decode)
_encode = msgspec.json.Encoder().encode


def sets(document: Sequence[bytes]) -> Parsed:
    """Return rows of SET_COLUMNS with unique ids that can be part of a path."""
    return _parsed(document, _SETS, _set_row)


def cards(document: Sequence[bytes], set_id: str) -> Parsed:
    """Return rows of CARD_COLUMNS of the set `set_id`, with unique ids."""

    def row(card: CardEntry) -> Row:
        if card.set is not None and card.set.id != set_id:
            raise ValueError(f'set.id: expected "{set_id}", got "{shown(card.set.id)}"')
        return _card_row(card, set_id)

    return _parsed(document, _CARDS, row)


def shown(text: str) -> str:
    """Return `text` shortened and safe to encode as UTF-8."""
    return text[:80].encode("utf-8", "backslashreplace").decode()


def _parsed(
    document: Sequence[bytes],
    kind: _Kind,
    row: Callable[[Any], Row],
) -> Parsed:
    rows: dict[str, Row] = {}
    problems: list[EntryProblem] = []
    place = 0
    for page in document:
        for entry in _entries(page, kind, place):
            place += 1
            if isinstance(entry, EntryProblem):
                problems.append(entry)
                continue
            try:
                if entry.id in rows:
                    raise ValueError("id: this id appears twice")
                rows[entry.id] = row(entry)
            except ValueError as error:
                problems.append(_problem(place, entry.id, str(error)))
    return Parsed(tuple(rows.values()), tuple(problems))


def _entries(page: bytes, kind: _Kind, before: int) -> list[Any]:
    """Return the structs of a page, with an EntryProblem in place of each invalid entry."""
    try:
        return list(kind.page(page).data)
    except _NOT_DECODED:
        return _taken_apart(page, kind, before)


def _taken_apart(page: bytes, kind: _Kind, before: int) -> list[Any]:
    # The standard library's decoder accepts NaN and lone surrogates, so it can tell
    # which entry has them; msgspec reports the whole page as "truncated".
    try:
        value = json.loads(page)
    except (ValueError, RecursionError) as error:
        return [EntryProblem(None, f"is no JSON: {shown(str(error))}")]
    entries = value.get("data") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return [EntryProblem(None, 'expected an object with a list "data"')]
    return [_judged(entry, place, kind) for place, entry in enumerate(entries, before + 1)]


def _judged(value: object, place: int, kind: _Kind) -> Any:
    entry_id = value.get("id") if isinstance(value, dict) else None
    try:
        return kind.entry(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except UnicodeEncodeError:
        text = "holds half a surrogate pair, which is no character"
    except RecursionError:
        text = "is nested too deeply"
    except msgspec.MsgspecError as error:
        words, _, path = str(error).partition(" - at `$")
        path = path.strip(".`")
        words = words[:1].lower() + words[1:]
        text = f"{path}: {words}" if path else words
    except ValueError:
        text = "holds a number that JSON cannot hold (NaN or Infinity)"
    return _problem(place, entry_id if isinstance(entry_id, str) else None, text)


def _problem(place: int, entry_id: str | None, text: str) -> EntryProblem:
    name = f"entry {place}" + (f" ({shown(entry_id)})" if entry_id else "")
    return EntryProblem(entry_id, f"{name}: {text}")


def _set_row(entry: SetEntry) -> Row:
    if not _SET_ID.fullmatch(entry.id):
        raise ValueError("id: expected letters, digits, dot, dash and underscore only")
    return (
        entry.id,
        entry.name,
        entry.series,
        entry.printed_total,
        entry.total,
        _text(entry.legalities),
        entry.ptcgo_code,
        entry.release_date,
        entry.updated_at,
        _text(entry.images),
    )


def _card_row(card: CardEntry, set_id: str) -> Row:
    return (
        card.id,
        card.name,
        card.supertype,
        _text(card.subtypes),
        card.level,
        None if card.hp is None else _hp(card.hp),
        _text(card.types),
        card.evolves_from,
        _text(card.evolves_to),
        _text(card.rules),
        _text(card.abilities),
        _text(card.ancient_trait),
        _text(card.attacks),
        _text(card.weaknesses),
        _text(card.resistances),
        _text(card.retreat_cost),
        card.converted_retreat_cost,
        set_id,
        card.number,
        card.artist,
        card.rarity,
        card.flavor_text,
        card.regulation_mark,
        _text(card.national_pokedex_numbers),
        _text(card.legalities),
        _text(card.images),
        None if card.tcgplayer is None else card.tcgplayer.url,
        None if card.cardmarket is None else card.cardmarket.url,
    )


def _text(value: object) -> str | None:
    return None if value is None else _encode(value).decode()


def _hp(text: str) -> int:
    if not _HP.fullmatch(text):
        raise ValueError(
            f"hp: expected 1 to 18 digits, got {format_count(len(text), 'character')}"
        )
    return int(text)
