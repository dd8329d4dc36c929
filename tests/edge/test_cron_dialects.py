"""The time fields of Debian's cron and of cronie, compared with recorded behaviour."""

import os
import shutil
import subprocess

import pytest

from supervisor.config.crontab.dialects import FIELDS, Dialect, read_field, read_times
from supervisor.config.problems import BadValueError

NEVER = "never"
REFUSED = "refused"

# A line, its slots in Debian's cron 3.0pl1-162, its slots in cronie 1.7.2.
OUTCOMES = [
    ("*/90 * * * *", "*/90 * * * *", "*/90 * * * *"),
    ("0 */40 * * *", "0 */40 * * *", "0 */40 * * *"),
    ("0 0 * * */8", "0 0 * * */8", "0 0 * * */8"),
    ("0 22-5 * * *", NEVER, NEVER),
    ("0 0 * * fri-mon", NEVER, NEVER),
    ("0 0 1 * fri-mon", "0 0 1 * *", "0 0 1 * *"),
    ("0 0 20-10 * mon", "0 0 * * mon", "0 0 * * mon"),
    ("0 0 * * sat-sun", NEVER, "0 0 * * sat-sun"),
    ("0 0 * * mon-sun", NEVER, "0 0 * * mon-sun"),
    ("0 0 * * 5-0", NEVER, "0 0 * * 5-0"),
    ("0 0 * * 5-0/2", NEVER, NEVER),
    ("0 0 * * 6-7", "0 0 * * 6-7", "0 0 * * 6-7"),
    ("5/15 * * * *", REFUSED, REFUSED),
    ("5-5/15 * * * *", "5-5/15 * * * *", "5-5/15 * * * *"),
    ("0 0 L * *", REFUSED, REFUSED),
    ("0 0 * * 5L", REFUSED, REFUSED),
    ("0 0 15W * *", REFUSED, REFUSED),
    ("0 0 * * fri#2", "0 0 * * 5", REFUSED),
    ("0 0 * * 5#2,mon", "0 0 * * 5", REFUSED),
    ("0~30 * * * *", "0 * * * *", REFUSED),
    ("1-5-7 * * * *", "1-5 * * * *", "1-5 * * * *"),
    ("*/15/2 * * * *", "*/15 * * * *", REFUSED),
    ("*-5 * * * *", "* * * * *", REFUSED),
    ("*,5 * * * *", "*,5 * * * *", "*,5 * * * *"),
    ("5, * * * *", REFUSED, REFUSED),
    (",5 * * * *", REFUSED, REFUSED),
    ("*/0 * * * *", REFUSED, REFUSED),
    ("*/x * * * *", REFUSED, REFUSED),
    ("H * * * *", REFUSED, REFUSED),
    ("? * * * *", REFUSED, REFUSED),
    ("60 * * * *", REFUSED, REFUSED),
    ("0 24 * * *", REFUSED, REFUSED),
    ("0 0 0 * *", REFUSED, REFUSED),
    ("0 0 * 0 *", REFUSED, REFUSED),
    ("0 0 * * 8", REFUSED, REFUSED),
    ("0 0 * * monday", REFUSED, REFUSED),
    ("007 * * * *", "007 * * * *", "007 * * * *"),
    ("0 0 * JAN-3 *", "0 0 * JAN-3 *", "0 0 * JAN-3 *"),
    ("0 0 * dec-feb *", NEVER, NEVER),
    ("0\u00a02 * * * *", "0 * * * *", REFUSED),
]
IDS = [line for line, _, _ in OUTCOMES]


def outcome(line: str, dialect: Dialect) -> str:
    try:
        return read_times(line.split(" "), dialect).text
    except BadValueError as wrong:
        return NEVER if "never runs it" in wrong.message else REFUSED


@pytest.mark.parametrize(("line", "debian", "cronie"), OUTCOMES, ids=IDS)
def test_each_cron_reads_a_line_in_its_own_way(line: str, debian: str, cronie: str) -> None:
    assert (outcome(line, Dialect.DEBIAN), outcome(line, Dialect.CRONIE)) == (debian, cronie)


@pytest.mark.parametrize(("line", "debian", "cronie"), OUTCOMES, ids=IDS)
def test_where_crons_differ_it_is_said(line: str, debian: str, cronie: str) -> None:
    said = []
    for dialect in Dialect:
        try:
            said.append(" ".join(read_times(line.split(" "), dialect).notes))
        except BadValueError as wrong:
            said.append(f"{wrong.message} {wrong.hint}")

    if debian != cronie:
        assert all("cron" in words for words in said), said
        assert any("--cron" in words for words in said), said


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("place", range(5))
def test_a_number_that_is_too_large_is_refused_and_soon(place: int, dialect: Dialect) -> None:
    with pytest.raises(BadValueError, match=f"refuses {FIELDS[place].title}"):
        read_field(f"1-{'9' * 400}", place, dialect)


@pytest.mark.skipif(shutil.which("crontab") is None, reason="needs Debian's crontab")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to install a table of another user")
def test_debians_cron_refuses_what_the_table_says(tmp_path) -> None:
    version = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "cron"], capture_output=True, text=True
    ).stdout
    if not version.startswith("3.0pl1"):
        pytest.skip("needs Debian's cron 3.0pl1")
    user, table = "games", tmp_path / "table"
    if subprocess.run(["crontab", "-u", user, "-l"], capture_output=True).returncode == 0:
        pytest.skip(f"{user} has a crontab of its own")

    found = {}
    try:
        for line, _, _ in OUTCOMES:
            table.write_text(f"{line} true\n")
            done = subprocess.run(["crontab", "-u", user, table], capture_output=True)
            found[line] = done.returncode == 0
    finally:
        subprocess.run(["crontab", "-u", user, "-r"], capture_output=True)

    assert found == {line: debian != REFUSED for line, debian, _ in OUTCOMES}
