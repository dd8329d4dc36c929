"""The benchmarks: each runs, keeps its measurements, and ends what it started.

The measured values are not tested: on a busy machine they mean nothing. Benchmarks that need a
real minute or other schedulers are left to `benchmarks/run --quick`.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests import waiting
from tests.fix_postgres import needs_account

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import measured  # noqa: E402 - scripts beside each other, no package
import parts  # noqa: E402
import results  # noqa: E402
import rows  # noqa: E402
import run_costs  # noqa: E402
from memory import descendants  # noqa: E402

PROGRAMS = [
    *("backup.py", "burst.py", "endurance.py", "growth.py", "page.py", "replication.py"),
    *("sync.py", "session.py"),
]
LIMIT_S = 120


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=BENCHMARKS,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def medians(found: measured.Measured) -> Mapping[str, set[str]]:
    """Return the sides of each row that has values."""
    rows_of: dict[str, set[str]] = {}
    for row, _, side in found.values:
        rows_of.setdefault(row, set()).add(side)
    return rows_of


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_benchmark_says_how_it_is_called(program):
    helped = run(program, "--help")

    assert helped.returncode == 0, helped.stderr
    assert "--rounds" in helped.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        *(([each, "--rounds", "0"], "at least 1, got '0'") for each in PROGRAMS),
        (["burst.py", "--only", "a,z"], "out of a,b,c,d,e,f,g,h,t, got 'a,z'"),
        (["growth.py", "--only", "jobs,requests"], "expected some out of jobs,incidents,history"),
        (["burst.py", "--cores", "2,x"], "at least 1, got 'x'"),
        (["backup.py", "--megabytes", "many"], "at least 1, got 'many'"),
        (["sync.py", "--catalogue", "/nowhere"], "no catalogue in /nowhere"),
        (["session.py", "--only", "bakcup"], "unknown part 'bakcup': expected some of commands"),
        (["session.py", "--quick", "--only", "tick"], "unknown part 'tick'"),
    ],
)
def test_a_wrong_option_is_named(words, said):
    refused = run(*words)

    assert refused.returncode == 2
    assert said in refused.stderr


def test_invalid_results_are_not_continued(short_path):
    broken = short_path / "broken.json"
    broken.write_text("{")

    for path in (broken, short_path / "missing.json"):
        refused = run("session.py", "--into", str(path))

        assert refused.returncode == 1
        assert f"go on with {path}: " in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.timeout(LIMIT_S)
def test_a_backup_of_a_megabyte_is_measured(short_path):
    done = run(
        *(
            "backup.py",
            "--megabytes",
            "1",
            "--rounds",
            "1",
            "--values",
            str(short_path / "values"),
        ),
        TMPDIR=str(short_path),
    )

    assert done.returncode == 0, done.stderr
    found = medians(measured.load(short_path / "values"))
    assert found["backup 1 MB"] >= {"packed", "proved", "local"}
    assert "| backup of 1 MB, restored and verified | all | " in done.stdout
    assert os.listdir(short_path) == ["values"]


@pytest.mark.timeout(LIMIT_S)
def test_a_sync_of_a_small_catalogue_is_measured(short_path):
    catalogue = short_path / "catalogue"
    subprocess.run(
        [ROOT / "scripts" / "generate-catalogue", catalogue, "--sets", "2", "--cards", "40"],
        check=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )

    done = run(
        *("sync.py", "--catalogue", str(catalogue), "--rounds", "2"),
        *("--values", str(short_path / "values")),
    )

    assert done.returncode == 0, done.stderr
    found = measured.load(short_path / "values")
    assert medians(found)["sync"] == {"ours", "limit", "bare", "peer", "nothing", "0.1 %"}
    assert {len(values) for values in found.values.values()} == {2}


@pytest.mark.timeout(LIMIT_S)
def test_growth_has_an_exponent_for_each_operation(short_path):
    done = run("growth.py", "--quick", "--values", str(short_path / "v"))

    assert done.returncode == 0, done.stderr
    found = measured.load(short_path / "v")
    assert {row for row, _, _ in found.values} == {row.key for row in rows.GROWTH}
    assert {picture for picture, _ in found.curves} == {row.key for row in rows.GROWTH}
    assert all(cost > 0 for points in found.curves.values() for _, cost in points)


@pytest.mark.timeout(LIMIT_S)
def test_a_few_runs_of_endurance_leave_a_curve(short_path):
    done = run("endurance.py", "--runs", "50", "--every", "50", "--values", str(short_path / "v"))

    assert done.returncode == 0, done.stderr
    found = measured.load(short_path / "v")
    kinds = ("supervisor", "fork server", "keepers")
    assert set(found.curves) == {("memory", kind) for kind in kinds}
    assert all(size_bytes > 0 for points in found.curves.values() for _, size_bytes in points)


@needs_account
@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.skipif(shutil.which("psql") is None, reason="the peer of the row is psql")
def test_a_small_replication_is_measured(short_path):
    done = run(
        *("replication.py", "--rows", "500", "--rounds", "1"),
        *("--values", str(short_path / "values")),
    )

    assert done.returncode == 0, done.stderr
    assert {"pipe", "full", "tenth"} <= medians(measured.load(short_path / "values"))[
        "replication 500"
    ]


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_a_service_is_measured_until_it_is_ready(short_path):
    done = run("burst.py", "--only", "f", "--quick", "--values", str(short_path / "values"))

    assert done.returncode == 0, done.stderr
    assert set(medians(measured.load(short_path / "values"))) >= {"f 10", "f 1000 again"}


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_benchmark_that_is_ended_leaves_nothing(short_path, number):
    process = subprocess.Popen(
        [sys.executable, BENCHMARKS / "endurance.py", "--runs", "100000"],
        env={**os.environ, "TMPDIR": str(short_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    waiting.until(lambda: len(descendants(process.pid)) > 3, LIMIT_S)
    handles = [os.pidfd_open(pid) for pid in descendants(process.pid)[:2]]

    process.send_signal(number)

    assert process.wait(LIMIT_S) == 128 + number
    for handle in handles:
        with pytest.raises(ProcessLookupError):
            signal.pidfd_send_signal(handle, 0)
        os.close(handle)
    assert os.listdir(short_path) == []


RUN_PART = """
import sys
from pathlib import Path
import session
from parts import PlannedPart
session.adopt()
part, found = session.run_part(PlannedPart("one", (sys.argv[1],), float(sys.argv[2]), 0, ()), 1)
print(part.end, part.said, found.values, session.children(session.os.getpid()))
"""
HANGS = """
import subprocess, sys
values = sys.argv[-1].removeprefix("--values=")
text = '{"values": [{"row": "r", "cores": 0, "side": "s", "values": [1.0]}]}'
open(values, "w").write(text)
subprocess.Popen(["sleep", "1000"], start_new_session=True)
subprocess.run(["sleep", "1000"])
"""


@pytest.mark.parametrize(
    ("script", "bound_s", "reported"),
    [
        (HANGS, "1", "over its bound  {('r', 0, 's'): [1.0]} []"),
        ("raise SystemExit('no such peer')", "60", "failed no such peer {} []"),
        ("open(__import__('sys').argv[-1][9:], 'w').write('{')", "60", "failed its values: "),
        ("", "60", "measured  {} []"),
    ],
)
def test_a_part_is_bounded_and_what_it_measured_is_kept(short_path, script, bound_s, reported):
    program = short_path / "program.py"
    program.write_text(script)

    done = run("-c", RUN_PART, str(program), bound_s, PYTHONPATH=str(BENCHMARKS))

    assert done.stdout.startswith(reported), done.stderr


def test_what_is_saved_is_loaded_again(short_path):
    found = measured.Measured()
    found.add("a", 2, "nightshift", 0.5, 0.25)
    found.draw("burst 2", "nightshift", [(0.1, 1.0)])

    found.save(short_path / "values")

    assert measured.load(short_path / "values") == found
    assert measured.load(short_path / "missing") == measured.Measured()


@pytest.mark.parametrize(
    ("mine", "theirs", "reported"),
    [
        ([0.5, 0.54, 9.0], [1.0], "0.540 s | cronstable: 1.000 s | 0.54 | ≤ 0.55 | yes |"),
        ([0.7], [1.0], "0.700 s | cronstable: 1.000 s | 0.70 | ≤ 0.55 | **no** |"),
        ([0.1], [1.0], "0.100 s | cronstable: 1.000 s | 1/10 | ≤ 0.55 | yes |"),
        ([0.1], [], "0.100 s | cronstable: not measured | - | ≤ 0.55 |  |"),
    ],
)
def test_a_row_says_whether_its_target_is_met(mine, theirs, reported):
    found = measured.Measured()
    found.add("a", 2, "nightshift", *mine)
    found.add("a", 2, "cronstable", *theirs)

    line = rows.table(found, rows.BURST["a"][:1]).splitlines()[-1]

    assert line.endswith(reported)


def test_a_row_may_have_another_target_on_one_core():
    found = measured.Measured()
    found.add("a", 1, "nightshift", 0.9)
    found.add("a", 1, "cronstable", 1.0)

    assert "| ≤ 0.90 | yes |" in rows.table(found, rows.BURST["a"])


def test_all_but_one_of_a_hundred_is_no_median():
    found = measured.Measured()
    found.add("h p99", 2, "nightshift", *[0.001] * 98, 0.5, 0.9)

    assert found.median_of("h p99", 2, "nightshift") == 0.5


def test_later_values_replace_earlier_ones():
    earlier, later = measured.Measured(), measured.Measured()
    earlier.add("a", 2, "nightshift", 1.0)
    earlier.add("b", 2, "nightshift", 2.0)
    later.add("a", 2, "nightshift", 3.0)

    earlier.take(later)

    assert earlier.values == {("a", 2, "nightshift"): [3.0], ("b", 2, "nightshift"): [2.0]}


def test_every_row_that_is_claimed_has_a_part_that_measures_it():
    measuring = {row for part in parts.FULL for row in part.rows}

    claimed = {row for group in rows.BURST.values() for row in group} | {*rows.SYNC}
    assert measuring >= claimed | {*rows.ENDURANCE}


def test_a_session_is_written_and_read(short_path):
    part = results.Part("sync", results.End.FAILED, 1.5, 3, "0.1, 0.1, 0.1", "no peer")
    found = replace(results.fresh(is_quick=False), absent=["cron"], parts=[part])

    found.save(short_path / "one.json")

    assert results.load(short_path / "one.json") == found
    page = results.page(found, list(rows.SYNC))
    assert "- sync: failed after 2 s. no peer" in page
    assert "Not installed: cron." in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"is_quick": True}, "only one of the two sessions is a --quick one"),
        ({"machine": "another one"}, "measured on another one, and this is "),
    ],
)
def test_a_session_continues_only_on_its_machine(short_path, change, said):
    path = short_path / "one.json"
    replace(results.fresh(is_quick=False), **change).save(path)

    refused = run("session.py", "--into", str(path))

    assert refused.returncode == 1
    assert f"go on with {path}: {said}" in refused.stderr


def test_a_complete_session_measures_nothing_again(short_path):
    path = short_path / "one.json"
    had = [
        results.Part(each.name, results.End.MEASURED, 1.0, 1, "0.1, 0.1, 0.1")
        for each in parts.QUICK
    ]
    replace(results.fresh(is_quick=True), parts=had).save(path)

    done = run("session.py", "--quick", "--into", str(path))

    assert done.returncode == 0, done.stderr
    assert results.load(path).parts == had


def test_the_profile_says_how_it_is_called_and_adds_up_what_processes_used():
    helped = run("run_costs.py", "--help")
    used = run_costs.Costs(0.002, 0.001, 40, 6)
    parts_ = run_costs.Parts(used, used - used, used + used, run_costs.Costs())
    lines = run_costs.table(parts_, used, run_costs.Counter(keepers=30), 2).splitlines()

    assert "--strace" in helped.stdout, helped.stderr
    assert lines[2] == "| supervisor | 1000 | 500 | 20 | 3.0 | - |"
    assert lines[4] == "| keepers | 2000 | 1000 | 40 | 6.0 | 15.0 |"
    assert lines[6] == "| all | 3000 | 1500 | 60 | 9.0 | 15.0 |"
    assert lines[7] == "| bare loop | 1000 | 500 | 20 | 3.0 | - |"


def test_what_a_process_used_is_read_from_the_kernel():
    before = run_costs.of(os.getpid())
    pages = bytearray(16 * 1024 * 1024)
    pages[::4096] = b"x" * len(pages[::4096])
    after = run_costs.of(os.getpid())

    assert after.faults - before.faults > 1000
    assert after.cpu_s > before.cpu_s
    assert run_costs.of(2**22 + 1) == run_costs.Costs()
