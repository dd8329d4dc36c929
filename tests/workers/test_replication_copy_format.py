"""SQLite rows as CSV for COPY: any text survives."""

import csv
import io
import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from workers.replication import copy_format
from workers.replication.tables import Column, MappedColumn

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text('"\\,[]\nntu0\x01')


def typed(count):
    return tuple(MappedColumn(Column(f"c{n}", "TEXT", f"?{n + 1}"), "text") for n in range(count))


def rows_of(texts):
    with closing(sqlite3.connect(":memory:")) as database:
        database.text_factory = bytes
        return [
            database.execute(
                f"SELECT {copy_format.array_sql(typed(len(row)), False)}", row
            ).fetchone()
            for row in texts
        ]


def read(sent):
    """Parse the text as COPY does, with code of another project."""
    return list(
        csv.reader(io.StringIO(sent.decode(), ""), escapechar="\\", doublequote=False, strict=True)
    )


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=4), min_size=1, max_size=5))
def test_texts_come_back_as_they_were(texts):
    rows = rows_of(texts)

    (batch,) = copy_format.whole_rows(iter(rows))

    assert batch[0] == len(texts)
    assert read(batch[1]) == texts


@given(st.lists(st.none() | TEXTS, min_size=1, max_size=4))
def test_a_row_is_read_again_for_a_message(row):
    ((written,),) = rows_of([row])

    assert copy_format.fields_of(written) == [
        None if text is None else text.encode() for text in row
    ]


def test_a_row_with_more_columns_than_a_call_takes_arguments_is_one_line():
    texts = [f"[{n}]" for n in range(250)]

    ((written,),) = rows_of([texts])

    assert read(copy_format.line_of(written)) == [texts]


def test_null_is_bare_and_no_text_is():
    ((written,),) = rows_of([[None, "null", ""]])

    assert copy_format.line_of(written) == b'null,"null",""\n'


def test_batches_are_bounded_and_keep_the_order():
    rows = rows_of([[f"{n}" * 1000, "x"] for n in range(500)])

    batches = list(copy_format.whole_rows(iter(rows)))

    assert len(batches) > 1
    assert sum(count for count, _ in batches) == 500
    assert b"".join(sent for _, sent in batches) == b"".join(
        copy_format.line_of(row) for (row,) in rows
    )
