"""Workers and their parameters, checked in a child process."""

import os
import sys
from pathlib import Path

import pytest

from supervisor import config
from supervisor.config import worker_check
from tests.acceptance.find_processes import is_dead
from tests.waiting import until

PARAMS = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Params:
    path: str
    count: int = 1

def run(params, report):
    return {}

def bare():
    return {}

text = "no function"
"""


def said(folder: Path, jobs: str, limit_s: float = 10.0) -> list[str]:
    text = f"jobs: {{{jobs}}}".encode()
    parsed = config.parse(text, folder / "jobs.yaml", dict(os.environ))
    assert parsed.config is not None, parsed.problems
    found = worker_check.check_workers(parsed.uses, os.environ, limit_s)
    return [f"{problem.path}: {problem.message}" for problem in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "etl.py").write_text(PARAMS)
    return tmp_path


def test_a_users_worker_with_right_parameters_has_no_problem(folder: Path) -> None:
    assert said(folder, "a: {worker: 'etl:run', with: {path: x, count: 2}}") == []


@pytest.mark.parametrize(
    ("job", "problem"),
    [
        ("{worker: 'etl:run'}", "jobs.a.with.path: is required"),
        ("{worker: 'etl:run', with: {path: x, cuont: 1}}", "jobs.a.with.cuont: unknown parameter"),
        (
            "{worker: 'etl:run', with: {path: x, count: many}}",
            'jobs.a.with.count: expected a whole number, got "many"',
        ),
        ("{worker: 'etl:rnu'}", 'jobs.a.worker: no worker "etl:rnu": rnu is not there in etl'),
        ("{worker: 'etl:text'}", "text is no function in etl"),
        ("{worker: 'etl:bare'}", "bare does not take (params, report)"),
        ("{worker: 'elt:run'}", 'jobs.a.worker: no worker "elt:run": no module elt'),
        ("{worker: snyc.run}", 'jobs.a.worker: no built-in worker "snyc.run": no module snyc'),
        ("{worker: protocol.encode}", "encode does not take (params, report)"),
    ],
)
def test_a_mistake_about_a_worker_is_named(folder: Path, job: str, problem: str) -> None:
    found = said(folder, f"a: {job}")

    assert len(found) == 1
    assert problem in found[0]


def test_a_mistake_inside_a_mapping_is_found_where_the_mapping_stands(folder: Path) -> None:
    text = (
        b"jobs:\n  a:\n    worker: health.run\n    with:\n      database: x\n"
        b"      limits:\n        backup_age: soon\n"
    )
    parsed = config.parse(text, folder / "jobs.yaml", dict(os.environ))

    (problem,) = worker_check.check_workers(parsed.uses, os.environ, 10.0)

    assert problem.path == "jobs.a.with.limits.backup_age"
    assert problem.line == 7


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("1 / 0", "import bad: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "import bad: SystemExit: 3"),
        ("def f(:", "import bad: SyntaxError"),
        ("import os; os._exit(3)", "ended its process (exit status 3)"),
        ("import os; os.kill(os.getpid(), 11)", "ended its process (killed by signal 11)"),
    ],
)
def test_what_an_import_does_is_a_problem_and_others_are_still_checked(
    folder: Path, code: str, problem: str
) -> None:
    (folder / "bad.py").write_text(code)

    found = said(folder, "a: {worker: 'bad:run'}, b: {worker: 'etl:run'}")

    assert problem in found[0]
    assert found[1:] == ["jobs.b.with.path: is required"]


def test_an_import_that_hangs_is_a_problem_and_its_children_are_killed(folder: Path) -> None:
    (folder / "bad.py").write_text(
        "import os, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "open('pid', 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )

    found = said(folder, "a: {worker: 'bad:run'}", limit_s=1.0)

    assert found == ["jobs.a.worker: import bad:run: not done within 1s"]
    until(lambda: is_dead(int((folder / "pid").read_text())))


def test_what_a_module_prints_at_import_does_not_spoil_the_answer(folder: Path) -> None:
    (folder / "loud.py").write_text("import os\nprint('{}')\nos.write(1, b'x')\n" + PARAMS)

    assert said(folder, "a: {worker: 'loud:run'}") == ["jobs.a.with.path: is required"]


def test_a_function_may_declare_its_own_parameters(folder: Path) -> None:
    (folder / "own.py").write_text(
        PARAMS + "\n@dataclass\nclass Other:\n    size: int\n\n"
        "def other(params: Other, report):\n    return {}\n"
    )

    assert said(folder, "a: {worker: 'own:other'}") == ["jobs.a.with.size: is required"]


def test_a_disabled_jobs_broken_worker_is_only_a_warning(folder: Path) -> None:
    (folder / "jobs.yaml").write_text("jobs: {a: {worker: 'no:run', enabled: false}}")

    loaded = config.load(folder / "jobs.yaml", os.environ)

    assert loaded.config is not None
    assert len(loaded.problems) == 1


def test_a_worker_is_checked_with_the_jobs_own_interpreter(folder: Path) -> None:
    job = f"{{worker: 'etl:run', python: '{sys.executable}', with: {{path: x, n: 1}}}}"

    assert said(folder, f"a: {job}") == ["jobs.a.with.n: unknown parameter"]


def test_an_interpreter_without_our_packages_is_enough(folder: Path) -> None:
    # -S and -E leave only the standard library.
    bare = folder / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    bare.chmod(0o755)

    assert said(folder, "a: {worker: 'etl:run', python: ./python}") == [
        "jobs.a.with.path: is required"
    ]


@pytest.mark.parametrize(
    ("python", "why"),
    [
        ("/no/such/python", "cannot be started: No such file or directory"),
        ("/bin/true", "exit status 0"),
        ("/bin/false", "exit status 1"),
    ],
)
def test_what_is_no_interpreter_is_a_problem_of_python(
    folder: Path, python: str, why: str
) -> None:
    found = said(folder, f"a: {{worker: 'etl:run', python: {python}}}")

    assert found == [f'jobs.a.python: interpreter "{python}": {why}']


def test_the_environment_of_the_job_is_there_at_import(folder: Path) -> None:
    (folder / "needs.py").write_text("import os\nos.environ['NEEDED']\n" + PARAMS)

    found = said(folder, "a: {worker: 'needs:run', env: {NEEDED: x}, with: {path: x}}")

    assert found == []


def test_a_file_with_commands_only_starts_no_child(folder: Path) -> None:
    parsed = config.parse(b"jobs: {a: {command: x}}", folder / "jobs.yaml", {})

    assert parsed.uses == ()
    assert worker_check.check_workers(parsed.uses, {"PATH": "/nowhere"}) == ()


def test_a_problem_of_a_parameter_stands_at_its_value(folder: Path) -> None:
    (folder / "jobs.yaml").write_text(
        "jobs:\n  a:\n    worker: etl:run\n    with:\n      path: x\n      count: many\n"
    )

    loaded = config.load(folder / "jobs.yaml", os.environ)

    assert [(one.line, one.column) for one in loaded.problems] == [(6, 14)]


def described(folder: Path, job: str, limit_s: float = 10.0) -> worker_check.Description:
    text = f"jobs: {{a: {job}}}".encode()
    parsed = config.parse(text, folder / "jobs.yaml", dict(os.environ))
    return worker_check.describe_worker(parsed.uses[0], os.environ, limit_s)


def test_a_worker_is_described_by_its_child(folder: Path) -> None:
    found = described(folder, "{worker: 'etl:run', with: {count: many}}")

    assert found.is_known
    assert found.fields is not None
    assert [(each.name, each.kind, each.default) for each in found.fields] == [
        ("path", "text", None),
        ("count", "whole", 1),
    ]
    assert sorted(problem.path for problem in found.problems) == [
        "jobs.a.with.count",
        "jobs.a.with.path",
    ]


@pytest.mark.parametrize(
    ("module", "said"),
    [
        # On a busy machine the limit may pass before the import begins.
        ("import time; time.sleep(600)", "within 0.5s"),
        ("import os; os._exit(3)", "ended its process"),
        ("raise SystemExit('no')", "SystemExit: no"),
        (f"{PARAMS}\nParams.__doc__ = 5", "is required"),
        (f"{PARAMS}\nrun.__annotations__['params'] = 'Lost'; del Params", ""),
    ],
    ids=["hangs", "ends", "exits", "odd", "plain"],
)
def test_a_worker_that_cannot_be_read_is_not_described(
    tmp_path: Path, module: str, said: str
) -> None:
    (tmp_path / "etl.py").write_text(module)

    found = described(tmp_path, "{worker: 'etl:run'}", 0.5 if "sleep" in module else 10.0)

    assert found.fields is None
    messages = [problem.message for problem in found.problems]
    assert len(messages) == bool(said)
    assert all(said in message for message in messages)
