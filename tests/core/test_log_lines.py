"""Log lines that contain a given text."""

import pytest

from supervisor.core.log_lines import lines_with

LOG = "one Error\ntwo\r\n[error] three\nérreur\nlast error"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("ERROR", "one Error\n[error] three\nlast error"),
        ("two", "two\r\n"),
        ("[error]", "[error] three\n"),
        ("ÉRREUR", "érreur\n"),
        (".*", ""),
        ("", LOG),
    ],
    ids=["any case", "its line end", "no pattern", "beyond ASCII", "not everything", "no text"],
)
def test_lines_that_contain_the_text_are_kept_whole(wanted: str, found: str) -> None:
    assert lines_with(LOG, wanted) == found
