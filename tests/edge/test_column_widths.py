"""Column widths: text is folded before it is cut, and spare width is removed first."""

import pytest

from supervisor.cli.column_widths import GAP, fitting

HISTORY = {"RUN": 4, "JOB": 31, "DUE": 23, "WHEN": 7, "TRIGGER": 8, "STATE": 7, "DETAIL": 90}
SPARE = ("DUE", "TRIGGER")


def taken(found):
    return sum(found.values()) + len(GAP) * (len(found) - 1)


@pytest.mark.parametrize("total", [40, 60, 61, 79, 80, 100, 120, 200, 1000])
def test_a_table_fits_and_no_column_is_wider_than_its_cells(total):
    found = fitting(HISTORY, SPARE, total)

    assert taken(found) <= total
    assert all(width <= HISTORY[header] for header, width in found.items())


@pytest.mark.parametrize(
    ("total", "gone"),
    [(60, {"DUE", "TRIGGER"}), (80, {"DUE", "TRIGGER"}), (100, {"DUE"}), (120, set())],
)
def test_spare_columns_go_in_their_order_where_it_is_narrow(total, gone):
    assert HISTORY.keys() - fitting(HISTORY, SPARE, total).keys() == gone


def test_columns_with_enough_room_keep_their_full_width():
    assert fitting(HISTORY, SPARE, 500) == HISTORY


def test_columns_that_do_not_fold_keep_their_width_while_texts_can_give():
    found = fitting({"JOB": 40, "SCHEDULE": 30, "NEXT": 36}, (), 60)

    assert (found["NEXT"], taken(found)) == (36, 60)


def test_a_name_grows_before_texts_do():
    found = fitting({"JOB": 31, "DETAIL": 200}, (), 80)

    assert found["JOB"] == 31
