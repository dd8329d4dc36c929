"""Messages: received as sent, in any pieces; invalid ones become a value, too."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.protocol import (
    LEVELS,
    MAX_LINE_BYTES,
    Done,
    Failed,
    Garbage,
    Lines,
    Log,
    Metric,
    Progress,
    Started,
    decode,
    encode,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
scalars = texts | numbers | st.booleans() | st.none()
messages = st.one_of(
    st.just(Started()),
    st.builds(Progress, numbers, st.none() | numbers, texts.map(lambda text: text[:40])),
    st.builds(Metric, texts, numbers),
    st.builds(Log, st.sampled_from(LEVELS), texts),
    st.builds(Done, st.dictionaries(texts, scalars, max_size=5)),
    st.builds(Failed, texts, st.booleans()),
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.lists(messages, max_size=8), st.lists(st.integers(0), max_size=8))
def test_what_is_said_is_received_in_whatever_pieces_it_comes(said, cuts):
    lines = Lines()

    received = []
    for piece in pieces(b"".join(map(encode, said)), cuts):
        received += lines.feed(piece)

    assert received == said
    assert lines.end() is None


any_texts = st.text(st.characters(), max_size=60)  # lone surrogates among them
said_by_outsiders = st.one_of(
    st.builds(Progress, numbers, st.none() | numbers, any_texts),
    st.builds(Metric, any_texts, numbers),
    st.builds(Log, st.sampled_from(LEVELS), any_texts),
    st.builds(Done, st.dictionaries(any_texts, any_texts | numbers, max_size=5)),
    st.builds(Failed, any_texts, st.booleans()),
)


def _strings(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for pair in value.items() for each in pair for text in _strings(each)]
        case _:
            return (
                [text for name in value.__slots__ for text in _strings(getattr(value, name))]
                if (hasattr(value, "__slots__"))
                else []
            )


@given(said_by_outsiders)
def test_whatever_is_said_every_text_that_is_received_can_be_encoded(said):
    received = decode(encode(said))

    assert type(received) is type(said)
    for text in _strings(received):
        text.encode("utf-8")


@given(st.binary(max_size=300))
def test_every_text_of_any_line_can_be_encoded(line):
    for text in _strings(decode(line)):
        text.encode("utf-8")


@pytest.mark.parametrize(
    "message",
    [
        Log("info", "caf\udce9.csv"),
        Progress(1, 2, "caf\udce9.csv"),
        Metric("caf\udce9.csv", 1),
        Failed("caf\udce9.csv", False),
        Done({"caf\udce9.csv": "caf\udce9.csv"}),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_byte_that_is_not_utf_8_is_shown_by_its_number(message):
    texts = [text for text in _strings(decode(encode(message))) if text not in ("", "info")]

    assert set(texts) == {r"caf\xe9.csv"}


@given(st.binary(max_size=2000), st.lists(st.integers(0), max_size=8))
def test_any_bytes_become_values_and_the_cuts_make_no_difference(data, cuts):
    whole, cut = Lines(), Lines()

    at_once = whole.feed(data)
    in_pieces = [message for piece in pieces(data, cuts) for message in cut.feed(piece)]

    assert in_pieces == at_once
    assert cut.end() == whole.end()


@given(
    st.dictionaries(
        st.sampled_from(
            ["message", "done", "total", "unit", "name", "value", "level", "text", "result"]
        ),
        scalars
        | st.sampled_from(["started", "progress", "metric", "log", "done", "failed"])
        | st.lists(scalars, max_size=2)
        | st.dictionaries(texts, scalars, max_size=2),
    )
)
def test_any_object_is_a_message_or_garbage(fields):
    received = decode(json.dumps(fields).encode())

    assert isinstance(received, Started | Progress | Metric | Log | Done | Failed | Garbage)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[1]",
        b'{"message": "dance"}',
        b'{"message": ["done"]}',
        b'{"message": "progress", "done": "much", "total": 1}',
        b'{"message": "progress", "done": NaN}',
        b'{"message": "progress", "done": 1e999}',
        b'{"message": "metric", "name": "x", "value": true}',
        b'{"message": "log", "level": "shout", "text": "x"}',
        b'{"message": "done", "result": {"a": {"b": 1}}}',
        b'{"message": "failed", "error": "x", "permanent": "yes"}',
        b'{"message": "log", "text": ' + b"[" * 50_000,
        b'{"message": "metric", "name": "x", "value": ' + b"9" * 5000 + b"}",
        b"\xff\xfe",
    ],
    ids=lambda line: line[:45].decode(errors="replace"),
)
def test_what_does_not_hold_is_garbage_with_its_reason(line):
    received = decode(line)

    assert isinstance(received, Garbage)
    assert len(received.why) < 400


def test_an_overlong_line_is_one_garbage_and_takes_no_memory():
    lines = Lines()

    received = []
    for _ in range(100):
        received += lines.feed(b"x" * MAX_LINE_BYTES)
    received += lines.feed(b"\n" + encode(Started()))

    assert received == [Garbage(f"a line of more than {MAX_LINE_BYTES} bytes"), Started()]


@pytest.mark.parametrize(
    "message",
    [
        Log("info", "x" * 1_000_000),
        Log("info", "\U0001f600" * 100_000),
        Failed("é" * 200_000, True),
        Done({f"key {number}": "v" * 1000 for number in range(1000)}),
        Done({"k" * 100_000: 1}),
    ],
    ids=["text", "emoji", "error", "many keys", "long key"],
)
def test_whatever_is_said_fits_a_line(message):
    line = encode(message)

    assert len(line) <= MAX_LINE_BYTES
    assert type(decode(line)) is type(message)


def test_half_a_line_at_the_end_is_garbage():
    lines = Lines()
    lines.feed(encode(Started()) + b'{"mess')

    assert lines.end() == Garbage("half a line: b'{\"mess'")
