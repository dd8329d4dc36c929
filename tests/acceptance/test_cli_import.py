"""import crontab, through the front door."""

import os

from tests.acceptance.daemon import House

CRONTAB = """\
MAILTO=ops@example.org
# Dump the shop each night
0 2 * * * pg_dump shop | gzip > shop-$(date +\\%F).gz
*/15 9-17 * * mon-fri echo hello
@reboot echo up
"""


def test_what_is_imported_passes_check_and_runs():
    with House() as house:
        (house.root / "table").write_text(CRONTAB)
        house.config.write_text(house.says("import", "crontab", "table"))

        said = house.says("check")
        house.says("run", "echo-hello", "--local")

    assert "3 jobs, no mistakes" in said
    assert "Every 15th minute from 09:00 through 17:59 on Monday through Friday" in said


def test_a_crontab_comes_through_a_pipe():
    with House() as house:
        read_end, write_end = os.pipe()
        os.write(write_end, b"0 2 * * * x\n")
        os.close(write_end)

        process = house.begin("import", "crontab", "-", stdin=read_end)

        out, err = process.communicate(timeout=20)
        os.close(read_end)

    assert (process.returncode, err) == (0, "")
    assert 'cron: "0 2 * * *"' in out


def test_lines_that_are_lost_are_named_and_exit_1():
    with House() as house:
        (house.root / "table").write_bytes(CRONTAB.encode() + b"@every 5m x\n0 2 * * * \xff\n")

        done = house.ask("import", "crontab", "table")

    assert done.returncode == 1
    assert "table:6: not kept: @every is not known to cron" in done.stderr
    assert "table:7: not kept: it is not UTF-8" in done.stderr
    assert "nightshift: table: 3 jobs; 2 lines not kept" in done.stderr
    assert done.stdout.count("is not kept") == 2


def test_a_system_crontab_keeps_the_lines_of_one_user():
    with House() as house:
        (house.root / "table").write_text("0 2 * * * root a\n0 3 * * * bob b\n")

        known = house.ask("import", "crontab", "table", "--user", "root")
        unsure = house.ask("import", "crontab", "table")
        told = house.ask("import", "crontab", "table", "--system", "--user", "bob")

    # bob is no user of this machine: without --system this is a user's own crontab.
    assert (known.returncode, "--user goes with a system crontab" in known.stderr) == (2, True)
    assert "table: if its sixth column names users: --system\n" in unsure.stderr
    assert told.returncode == 1
    assert (
        'table:1: not kept: it runs as "root", and jobs of this service run as bob' in told.stderr
    )
    assert 'command: "b"' in told.stdout


def test_what_is_no_crontab_is_refused():
    with House() as house:
        (house.root / "empty").write_text("# nothing\n")

        missing = house.refuses("import", "crontab", "none")
        folder = house.refuses("import", "crontab", ".")
        empty = house.refuses("import", "crontab", "empty")
        nothing = house.refuses("import")

    assert missing == (2, "nightshift: none: no such file\n")
    assert folder == (2, "nightshift: .: is a folder, expected a file\n")
    assert empty == (1, "nightshift: empty: 0 jobs; 0 lines not kept\n")
    assert nothing[0] == 2
