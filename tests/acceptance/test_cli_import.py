"""`nightshift import crontab` and `import systemd`."""

import os

from tests.acceptance.daemon import Sandbox

CRONTAB = """\
MAILTO=ops@example.org
# Dump the shop each night
0 2 * * * pg_dump shop | gzip > shop-$(date +\\%F).gz
*/15 9-17 * * mon-fri echo hello
@reboot echo up
"""


def test_what_is_imported_passes_check_and_runs():
    with Sandbox() as sandbox:
        (sandbox.root / "table").write_text(CRONTAB)
        sandbox.config.write_text(sandbox.says("import", "crontab", "table"))

        said = sandbox.says("check")
        sandbox.says("run", "echo-hello", "--local")

    assert "3 jobs, no mistakes" in said
    assert "Every 15th minute from 09:00 through 17:59 on Monday through Friday" in said


def test_a_crontab_comes_through_a_pipe():
    with Sandbox() as sandbox:
        read_end, write_end = os.pipe()
        os.write(write_end, b"0 2 * * * x\n")
        os.close(write_end)

        process = sandbox.begin("import", "crontab", "-", stdin=read_end)

        out, err = process.communicate(timeout=20)
        os.close(read_end)

    assert (process.returncode, err) == (0, "")
    assert 'cron: "0 2 * * *"' in out


def test_lines_that_are_lost_are_named_and_exit_1():
    with Sandbox() as sandbox:
        (sandbox.root / "table").write_bytes(CRONTAB.encode() + b"@every 5m x\n0 2 * * * \xff\n")

        done = sandbox.ask("import", "crontab", "table")

    assert done.returncode == 1
    assert "table:6: not kept: @every is not known to cron" in done.stderr
    assert "table:7: not kept: it is not UTF-8" in done.stderr
    assert "nightshift: table: 3 jobs; 2 lines not kept" in done.stderr
    assert done.stdout.count("is not kept") == 2


def test_a_system_crontab_keeps_the_lines_of_one_user():
    with Sandbox() as sandbox:
        (sandbox.root / "table").write_text("0 2 * * * root a\n0 3 * * * bob b\n")

        unclear = sandbox.refuses("import", "crontab", "table")
        known = sandbox.ask("import", "crontab", "table", "--user", "root")
        reported = sandbox.ask("import", "crontab", "table", "--system", "--user", "bob")
        own = sandbox.ask("import", "crontab", "--user", "table")

    # bob is not a user of this machine: the table may be a user's own crontab.
    assert unclear[0] == 2
    assert 'table:2: "bob" may be a user or a program' in unclear[1]
    assert "--system" in unclear[1]
    assert "--user" in unclear[1]
    for done, other, kept in ((known, "bob", "a"), (reported, "root", "b")):
        assert done.returncode == 1
        assert f'it runs as "{other}"' in done.stderr
        assert f'command: "{kept}"' in done.stdout
    assert own.returncode == 0
    assert 'command: "root a"' in own.stdout


def test_a_system_crontab_without_a_line_of_root_is_known():
    with Sandbox() as sandbox:
        table = "0 2 * * * www-data /usr/bin/php /srv/cron.php\n"
        (sandbox.root / "table").write_text(table)

        done = sandbox.ask("import", "crontab", "table", "--user", "www-data")
        other = sandbox.ask("import", "crontab", "table", "--user", "postgres")

    assert (done.returncode, done.stderr) == (0, "")
    assert 'command: "/usr/bin/php /srv/cron.php"' in done.stdout
    assert other.returncode == 1
    assert 'runs as "www-data"' in other.stderr


def test_several_tables_keep_their_own_settings_in_one_file():
    with Sandbox() as sandbox:
        folder = sandbox.root / "etc" / "cron.d"
        folder.mkdir(parents=True)
        (folder / "one").write_text("MAILTO=joe\nA=1\n0 2 * * * me report\n")
        (folder / "two").write_text("SHELL=/bin/bash\n0 3 * * * me report &\n0 4 * * * x y\n")
        (folder / "old.dpkg-old").write_text("0 3 * * * me never\n")
        (sandbox.root / "own").write_text("@daily report\n")

        done = sandbox.ask("import", "crontab", "etc/cron.d", "own", "--user", "me")
        sandbox.config.write_text(done.stdout)
        shown = sandbox.json("check")

    assert done.returncode == 1
    assert "etc/cron.d/two:2: warning: the last & is left out" in done.stderr
    assert 'etc/cron.d/two:3: not kept: it runs as "x"' in done.stderr
    assert "old.dpkg-old: left out" in done.stderr
    assert "nightshift: 3 files: 3 jobs; 1 line not kept; 1 warning\n" in done.stderr
    assert [job["name"] for job in shown["jobs"]] == ["report", "report-2", "report-3"]
    assert done.stdout.count('{A: "1"}') == 1
    assert '["/bin/bash", "-c", "report"]' in done.stdout


def test_a_background_job_is_waited_for():
    with Sandbox() as sandbox:
        (sandbox.root / "table").write_text("0 2 * * * (sleep 0.2; echo done > made) &\n")
        done = sandbox.ask("import", "crontab", "table")
        sandbox.config.write_text(done.stdout)

        sandbox.says("run", "echo-done", "--local")

        assert (sandbox.root / "made").read_text() == "done\n"
    assert done.returncode == 0
    assert "table:1: warning: the last & is left out" in done.stderr
    assert "nightshift: table: 1 job; 0 lines not kept; 1 warning\n" in done.stderr


def test_the_dialect_can_be_chosen():
    with Sandbox() as sandbox:
        (sandbox.root / "table").write_text("CRON_TZ=Asia/Tokyo\n0 2 * * sat-sun x\n")

        debian = sandbox.ask("import", "crontab", "table", "--cron", "debian")
        cronie = sandbox.ask("import", "crontab", "table", "--cron", "cronie")

    assert debian.returncode == 1
    assert "Debian's cron never runs it" in debian.stderr
    assert "Debian's cron does not heed it" in debian.stderr
    assert cronie.returncode == 0
    assert 'timezone: "Asia/Tokyo"' in cronie.stdout
    assert "Debian's cron accepts it and never runs it" in cronie.stderr


def test_what_is_no_crontab_is_refused():
    with Sandbox() as sandbox:
        (sandbox.root / "empty").write_text("# nothing\n")

        missing = sandbox.refuses("import", "crontab", "none")
        folder = sandbox.refuses("import", "crontab", ".")
        empty = sandbox.refuses("import", "crontab", "empty")
        nothing = sandbox.refuses("import")
        (sandbox.root / "cron.daily").mkdir()
        scripts = sandbox.refuses("import", "crontab", "cron.daily")

    assert missing == (2, "nightshift: none: no such file\n")
    assert folder[0] == 1
    assert scripts[0] == 2
    assert "holds scripts for run-parts" in scripts[1]
    assert empty == (1, "nightshift: empty: 0 jobs; 0 lines not kept\n")
    assert nothing[0] == 2


SERVICE = "[Service]\nType=oneshot\nExecStart=/bin/echo {}\n"
TIMER = "[Timer]\nOnCalendar={}\nPersistent=true\n"


def units(sandbox, texts):
    """Write unit files under these names."""
    for name, text in texts.items():
        path = sandbox.root / "units" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_timers_of_systemd_become_jobs_that_pass_check_and_run():
    with Sandbox() as sandbox:
        units(
            sandbox,
            {
                "one.timer": TIMER.format("Mon..Fri 6:30"),
                "one.service": SERVICE.format("from %N"),
                "two.timer": TIMER.format("hourly") + "Unit=other.service\n",
                "other.service": SERVICE.format("two") + "EnvironmentFile=/etc/default/two\n",
                "tpl@.timer": TIMER.format("daily"),
                "tpl@.service": SERVICE.format("%i"),
            },
        )
        (sandbox.root / "units" / "one.timer.d").mkdir()
        drop_in = "[Timer]\nOnCalendar=\nOnCalendar=weekly\n"
        (sandbox.root / "units" / "one.timer.d" / "10-when.conf").write_text(drop_in)
        (sandbox.root / "units" / "masked.timer").symlink_to("/dev/null")
        wants = sandbox.root / "units" / "timers.target.wants"
        wants.mkdir()
        (wants / "tpl@night.timer").symlink_to("../tpl@.timer")

        done = sandbox.ask("import", "systemd", "units")
        sandbox.config.write_text(done.stdout)
        jobs = {job["name"]: job["cron"] for job in sandbox.json("check")["jobs"]}
        printed = sandbox.says("run", "one", "--local")

    assert done.returncode == 1
    assert jobs == {"one": ["0 0 * * 1"], "tpl-night": ["0 0 * * *"], "two": ["0 * * * *"]}
    assert "success" in printed
    assert '["/bin/echo", "from", "one"]' in done.stdout
    assert 'command: ["/bin/echo", "night"]' in done.stdout
    assert "masked.timer: not kept: it is masked" in done.stderr
    assert "tpl@.timer: not kept: a template without an instance" in done.stderr
    assert f"{sandbox.root / 'units'}/tpl@NAME.timer" in done.stderr
    assert "two.timer: warning: EnvironmentFile=/etc/default/two: not read" in done.stderr
    assert "nightshift: units: 3 jobs; 2 timers not kept; 1 warning\n" in done.stderr


def test_one_timer_can_be_named():
    with Sandbox() as sandbox:
        units(sandbox, {"a.timer": TIMER.format("daily"), "a.service": SERVICE.format("a")})

        by_path = sandbox.says("import", "systemd", "units/a.timer")
        by_service = sandbox.says("import", "systemd", "units/a.service")
        missing = sandbox.refuses("import", "systemd", "units/b.timer")
        no_service = sandbox.root / "units" / "c.timer"
        no_service.write_text(TIMER.format("daily"))
        alone = sandbox.refuses("import", "systemd", "units/c.timer")

    assert by_path == by_service
    assert 'cron: "0 0 * * *"' in by_path
    assert missing[0] == 2
    assert alone[0] == 1
    assert "c.timer: not kept: its service c.service is not there" in alone[1]


def test_a_unit_that_cannot_be_read_loses_its_timer_alone():
    with Sandbox() as sandbox:
        units(sandbox, {f"{name}.timer": TIMER.format("daily") for name in ("a", "b")})
        units(sandbox, {"a.service": SERVICE.format("a")})
        folder = sandbox.root / "units"
        (folder / "b.service").mkdir()
        (folder / "c.timer").mkdir()
        (folder / "d.timer").symlink_to("d.timer")
        (folder / "e.timer").write_bytes(b"#" * 2**21)
        os.mkfifo(folder / "f.timer")

        status, said = sandbox.refuses("import", "systemd", "units")

    assert status == 1
    assert "units: 1 job; 5 timers not kept" in said
    assert "b.timer: not kept: " in said
    assert "units/c.timer: is a folder, expected a file" in said


def test_a_time_that_is_lost_beside_others_makes_the_exit_status_1():
    with Sandbox() as sandbox:
        timer = TIMER.format("daily") + "OnCalendar=2030-01-01\n"
        units(sandbox, {"a.timer": timer, "a.service": SERVICE.format("a")})

        done = sandbox.ask("import", "systemd", "units")

    assert done.returncode == 1
    assert 'cron: "0 0 * * *"' in done.stdout
    assert "nightshift: units: 1 job; 0 timers not kept; 1 time not kept; 1 warning" in done.stderr


def test_an_alias_of_a_timer_is_no_second_job():
    with Sandbox() as sandbox:
        units = sandbox.root / "units"
        units.mkdir()
        (units / "a.timer").write_text("[Timer]\nOnCalendar=daily\n")
        (units / "a.service").write_text("[Service]\nExecStart=/bin/true\n")
        (units / "alias.timer").symlink_to("a.timer")

        said = sandbox.says("import", "systemd", "units")

    assert said.count("cron:") == 1
    assert "alias" not in said


def test_an_instance_of_a_template_in_this_folder_is_found_by_its_name():
    with Sandbox() as sandbox:
        (sandbox.root / "a@.timer").write_text("[Timer]\nOnCalendar=daily\n")
        (sandbox.root / "a@.service").write_text("[Service]\nExecStart=/bin/echo %i\n")

        said = sandbox.says("import", "systemd", "a@shop.timer")

    assert 'command: ["/bin/echo", "shop"]' in said
