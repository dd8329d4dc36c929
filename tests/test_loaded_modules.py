"""What a new process loads: the service no worker and no cluster, a command only what it uses."""

import subprocess
import sys

from tests.module_sources import ROOT
from tests.test_house import SHARED


def loaded_with(*names: str) -> set[str]:
    """Return the modules that a new process has loaded after the import of these."""
    script = f"import sys, {', '.join(names)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def test_the_supervisors_own_process_never_loads_a_worker():
    loaded = loaded_with("supervisor.service", "supervisor.runtime.loop", "supervisor.__main__")

    workers = {name for name in loaded if name.startswith("workers.")}
    assert workers <= {f"workers.{name}" for name in (*SHARED, "report")}
    late = {"prometheus_client"}  # at the first scrape
    assert loaded & {"requests", "urllib3", "psycopg", "psutil", "multiprocess", *late} == set()


def test_a_command_that_only_asks_loads_neither_jobs_yaml_nor_calendars():
    commands = ("status", "history", "logs", "stop", "healthcheck")

    loaded = loaded_with(*(f"supervisor.cli.commands.{command}" for command in commands))

    late = {
        "supervisor.config",
        "supervisor.core.schedule",
        "supervisor.ledger",
        "sqlite3",
        "yaml",
    }
    assert loaded & late == set()


def test_a_run_without_a_supervisor_imports_no_http():
    loaded = loaded_with("supervisor.cli.commands.run", "supervisor.cli.run_local")

    assert loaded & {"http.client", "asyncio", "starlette", "uvicorn"} == set()


def test_a_service_without_a_cluster_imports_nothing_of_one():
    loaded = loaded_with("supervisor.service", "supervisor.api.serving")

    assert {name for name in loaded if name.startswith(("supervisor.cluster", "psycopg"))} == set()
