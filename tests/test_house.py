"""Architecture test: which module may import which, read from the imports themselves.

`ARROWS` is the plan of allowed imports. A new import between packages is a decision:
add it there with a reason, or do without it.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from supervisor.core.dependencies import find_cycle

ROOT = Path(__file__).parent.parent
FILES = sorted([*ROOT.glob("supervisor/**/*.py"), *ROOT.glob("workers/**/*.py")])

# A module, or a package with all its members -> which of our modules it may import. The
# longest name that matches a module counts. `x.*` is x and all its members, `x` is x alone.
ARROWS = {
    # the rules
    "supervisor.core": "supervisor.core.* workers.protocol workers.units",
    # jobs.yaml: read in a child process, or by the command line
    "supervisor.config": "supervisor.config.* supervisor.core.* supervisor.redaction.secrets"
    " workers.path_text workers.regular_file workers.units",
    # error messages are shown, and may quote secrets
    "supervisor.config.load_file": "supervisor.config.* supervisor.core.*"
    " supervisor.redaction.mask workers.regular_file",
    "supervisor.config.cache": "supervisor.config.* supervisor.core.* supervisor workers"
    " workers.regular_file",
    "supervisor.config.worker_check": "supervisor.config.* supervisor.core.* workers"
    " supervisor.containment.instance_mark supervisor.containment.process_tree",
    "supervisor.config.first_load": "supervisor.config.* supervisor.core.*"
    " supervisor.containment.process_tree",
    "supervisor.config.fingerprint": "workers.regular_file workers.report",
    "supervisor.config.definitions": "supervisor.config.* supervisor.core.*"
    " supervisor.redaction.secrets supervisor.containment.launch_spec workers.text",
    # processes; spawn and fork_server run in the fork server's process, never in ours
    "supervisor.containment": "supervisor.containment.* supervisor.core.* workers.protocol"
    " workers.units",
    "supervisor.containment.spawn": "supervisor.containment.* workers.bootstrap"
    " workers.environment",
    "supervisor.containment.fork_server": "supervisor.containment.* workers.bootstrap",
    "supervisor.ledger": "supervisor.ledger.* supervisor.core.* workers.text workers.units"
    " workers.volume",
    "supervisor.redaction": "supervisor.redaction.* supervisor.core.* workers.protocol",
    # the API may read the ledger and the output of runs; it never writes state
    "supervisor.api": "supervisor supervisor.api.* supervisor.core.* supervisor.redaction.mask"
    " supervisor.config.definitions supervisor.config.fingerprint"
    " supervisor.backups.model supervisor.reloader workers.regular_file"
    " supervisor.state_dir supervisor.ledger.queries supervisor.ledger.day_counts"
    " supervisor.containment.run_log",
    "supervisor.api.bridge": "supervisor.core.* supervisor.redaction.mask",
    # notifications; calls that may hang run in child processes
    "supervisor.notifications": "supervisor.notifications.* supervisor.core.*"
    " supervisor.containment.internal_jobs supervisor.log supervisor.ledger.queries"
    " supervisor.containment.run_log workers.protocol workers.text workers.units",
    "supervisor.notifications.child": "supervisor.notifications.* workers.report"
    " workers.retry_after",
    # the list of backups: a child reads the folders, the supervisor only the list
    "supervisor.backups": "supervisor.backups.* supervisor.core.*"
    " supervisor.containment.internal_jobs workers.protocol",
    "supervisor.backups.read_folders": "supervisor.backups.* workers.backup.* workers.params"
    " workers.report workers.rotation.params workers.rotation.retention",
    # small adapters, independent of each other
    "supervisor.log": "supervisor.core.* workers.text",
    "supervisor.systemd": "supervisor.core.* supervisor.log workers.units",
    "supervisor.state_dir": "workers.lock_file",
    "supervisor.reloader": "supervisor supervisor.core.* supervisor.config.*"
    " supervisor.state_dir supervisor.containment.internal_jobs workers.protocol"
    " workers.regular_file workers.units",
    "supervisor.cli.inherited_state": "workers.environment",
    # doctor runs in a command's own process and its children, which may load a worker
    "supervisor.doctor": "supervisor.doctor.* supervisor.core.* supervisor.ledger.queries"
    " supervisor.ledger.unattended"
    " supervisor.containment.instance_mark supervisor.containment.process_tree workers.units"
    " workers.volume",
    "supervisor.doctor.databases": "supervisor.doctor.* supervisor.core.* workers.units"
    " workers.sqlite workers.backup.*",
    # the page: a process of its own, a client of the socket; it writes nothing
    "supervisor.web": "supervisor supervisor.web.* supervisor.core.* supervisor.cli.client"
    " supervisor.cli.errors supervisor.api.limits supervisor.api.connection"
    " supervisor.api.cross_origin supervisor.api.sockets supervisor.backups.model"
    " supervisor.config.definitions supervisor.state_dir workers.text workers.units",
    "supervisor.doctor.cluster": "supervisor.doctor.* supervisor.core.* supervisor.cluster.*"
    " workers.units",
    # spans for OpenTelemetry: a client too, with a file of its own position
    "supervisor.telemetry": "supervisor supervisor.telemetry.* supervisor.core.*"
    " supervisor.cli.client supervisor.cli.decode supervisor.cli.errors workers.lock_file"
    " workers.regular_file",
    # a worker's parameters are read in a child, as the check of jobs.yaml reads them
    "supervisor.web.worker_reader": "supervisor.web.* supervisor.core.* supervisor.config.result"
    " supervisor.config.worker_check",
    "supervisor.web.views.parameters": "supervisor.config.worker_check",
    "supervisor.doctor.places": "supervisor.doctor.* supervisor.core.* workers.params"
    " workers.backup.places.*",
    # several hosts: processes of their own, except what the supervisor's own loop holds. The
    # agent is a client of the socket, the leader a service of its own
    "supervisor.cluster": "supervisor supervisor.cluster.* supervisor.core.* supervisor.ledger.*"
    " supervisor.cli.client supervisor.cli.errors supervisor.containment.internal_jobs"
    " supervisor.containment.processes supervisor.log supervisor.state_dir",
    "supervisor.cluster.leader": "supervisor.* ",
    # the supervisor's end of the agent's line submits requests, as the API does
    "supervisor.cluster.agent_line": "supervisor.api.bridge supervisor.cluster.agent_messages"
    " supervisor.core.*",
    # assembly: may import everything
    "supervisor.runtime": "supervisor.* workers.units",
    "supervisor.service": "supervisor.* workers.units",
    "supervisor.cli": "supervisor.* workers.regular_file workers.text workers.units",
    # commands in a process of their own, never the supervisor's
    "supervisor.cli.commands.backups": "supervisor.* workers.units workers.backup.*"
    " workers.rotation.*",
    "supervisor.cli.backup_folders": "supervisor.* workers.backup.*",
    "supervisor.cli.restore_command": "supervisor.* workers.backup.*",
    "supervisor.cli.backup_options": "supervisor.* workers.backup.* workers.sqlite",
    "supervisor.cli.placed_backups": "supervisor.* workers.backup.* workers.params"
    " workers.rotation.*",
    "supervisor.cli.restore_without_config": "supervisor.* workers.backup.*",
    # a simulation uses the pure plan that rotation itself carries out
    "supervisor.cli.simulated_rotation": "supervisor.* workers.backup.* workers.params"
    " workers.rotation.params workers.rotation.retention",
    # the version is defined in workers; foreign packages with our names are refused here
    "supervisor.__main__": "supervisor supervisor.cli.* workers",
    "supervisor": "workers",
    "workers": "workers.*",
}

# Modules used by both packages: values, texts and files, no code of the workers proper.
DOOR = (
    "environment", "lock_file", "path_text", "protocol", "regular_file", "text", "units", "volume",
)  # fmt: skip

VALUE_LIBRARIES = {
    "bisect", "collections", "copy", "dataclasses", "datetime", "difflib", "enum", "functools",
    "heapq", "itertools", "math", "re", "typing", "zoneinfo", "cronsim", "msgspec",
}  # fmt: skip
# System functions that verdicts need: signal names, and decoding of a wait status.
OF_THE_SYSTEM = {
    "supervisor.core.simulation.engine": {"signal.SIGKILL", "signal.SIGTERM"},
    "supervisor.core.signal_words": {"signal.Signals"},
    "supervisor.core.verdict": {"os.WIFSIGNALED", "os.WTERMSIG", "os.waitstatus_to_exitcode",
                                "signal.SIGABRT", "signal.SIGBUS", "signal.SIGKILL",
                                "signal.SIGSEGV", "signal.SIGXCPU", "signal.SIGXFSZ"},
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "time_ns", "monotonic_ns", "localtime"}

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
LONGEST = 320


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {name_of(file): ast.parse(file.read_text(), str(file)) for file in FILES}
CORE = sorted(name for name in TREES if name.startswith("supervisor.core"))


@cache
def imports(module: str) -> tuple[str, ...]:
    """Return every module that this module imports, anywhere in its code."""
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[str]:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            assert node.module
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in TREES else node.module


def is_ours(module: str) -> bool:
    return module.split(".")[0] in ("supervisor", "workers")


def room(module: str) -> str:
    """Return the longest name in the plan that contains this module."""
    fitting = [name for name in ARROWS if module == name or module.startswith(name + ".")]
    return max(fitting, key=len)


def is_allowed(module: str, imported: str) -> bool:
    for target in ARROWS[room(module)].split():
        package = target.removesuffix(".*")
        if imported == package or (target != package and imported.startswith(package + ".")):
            return True
    return False


@pytest.mark.parametrize("module", TREES)
def test_every_arrow_is_in_the_plan(module):
    drawn = {imported for imported in imports(module) if is_ours(imported)}

    assert {each for each in drawn if not is_allowed(module, each)} == set()


def test_every_room_of_the_plan_exists():
    assert {name for name in ARROWS if name not in TREES} == set()


def test_workers_know_nothing_of_their_supervisor():
    knowing = {
        module
        for module in TREES
        if module.startswith("workers")
        and any(i.startswith("supervisor") for i in imports(module))
    }

    assert knowing == set()


def test_the_supervisor_knows_the_door_to_its_workers_and_nothing_behind_it():
    door = {"workers"}
    door |= {f"workers.{name}" for name in DOOR}
    in_other_processes = {
        "supervisor.containment.spawn",
        "supervisor.containment.fork_server",
        "supervisor.cli.commands.backups",
        "supervisor.cli.backup_folders",
        "supervisor.cli.placed_backups",
        "supervisor.cli.backup_options",
        "supervisor.cli.restore_command",
        "supervisor.cli.restore_without_config",
        "supervisor.cli.simulated_rotation",
        "supervisor.doctor.databases",
        "supervisor.backups.read_folders",
        "supervisor.doctor.places",
        "supervisor.notifications.child.call_heartbeats",
        "supervisor.notifications.child.http_call",
        "supervisor.notifications.child.send_alerts",
        "supervisor.config.fingerprint",
    }

    behind = {
        (module, imported)
        for module in TREES
        if module.startswith("supervisor") and module not in in_other_processes
        for imported in imports(module)
        if imported.startswith("workers") and imported not in door
    }

    assert behind == set()


def test_the_page_is_a_client_that_nothing_of_the_service_imports():
    importing = {
        module
        for module in TREES
        if not module.startswith("supervisor.web")
        and any(each.startswith("supervisor.web") for each in imports(module))
    }

    assert importing == {"supervisor.cli.commands.web"}


def test_spans_are_made_by_a_client_that_nothing_of_the_service_imports():
    importing = {
        module
        for module in TREES
        if not module.startswith("supervisor.telemetry")
        and any(each.startswith("supervisor.telemetry") for each in imports(module))
    }
    with_sdk = {module for module in TREES if any("opentelemetry" in i for i in imports(module))}

    assert importing == {"supervisor.cli.commands.otel"}
    assert with_sdk == {"supervisor.telemetry.otlp"}


def test_no_imports_go_in_a_circle():
    ours = {
        module: tuple(each for each in imports(module) if each in TREES and each != module)
        for module in TREES
    }

    assert find_cycle(ours) is None


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_values_only(module):
    foreign = {each.split(".")[0] for each in imports(module) if not is_ours(each)}

    allowed = VALUE_LIBRARIES | {name.split(".")[0] for name in OF_THE_SYSTEM.get(module, ())}
    assert foreign <= allowed


@pytest.mark.parametrize("module", sorted(OF_THE_SYSTEM))
def test_what_the_core_takes_of_the_system_only_reads_values(module):
    taken = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("os", "signal")
    }

    assert taken <= OF_THE_SYSTEM[module]


@pytest.mark.parametrize("module", CORE)
def test_the_core_reads_no_clock_and_throws_no_dice(module):
    calls = {
        node.func.attr
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("datetime", "date", "time", "random")
    }
    opened = {
        node.func.id
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("open", "print", "input", "exec", "eval", "__import__")
    }

    assert calls & CLOCKS == set()
    assert opened == set()


@pytest.mark.parametrize(
    "module", ["supervisor.service", "supervisor.runtime.loop", "supervisor.__main__"]
)
def test_the_supervisors_own_process_never_loads_a_worker(module):
    script = f"import sys, {module}; print(*sys.modules)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
    )

    workers = {name for name in loaded if name.startswith("workers.")}
    assert workers <= {f"workers.{name}" for name in (*DOOR, "report")}
    late = {"prometheus_client"}  # at the first scrape
    assert loaded & {"requests", "urllib3", "psycopg", "psutil", "multiprocess", *late} == set()


@pytest.mark.parametrize("command", ["status", "history", "logs", "stop", "healthcheck"])
def test_a_command_that_only_asks_loads_neither_jobs_yaml_nor_calendars(command):
    script = f"import sys, supervisor.cli.commands.{command}; print(*sys.modules)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
    )

    late = (
        "supervisor.config",
        "supervisor.core.schedule",
        "supervisor.ledger",
        "sqlite3",
        "yaml",
    )
    assert loaded & set(late) == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_says_what_it_is_and_keeps_to_one_screenful_of_ideas(file):
    text = file.read_text()

    assert ast.get_docstring(TREES[name_of(file)]), "a module begins with a docstring"
    assert text.count("\n") <= LONGEST, "split a room when it holds two ideas"
    assert not FORBIDDEN_NAMES & set(file.stem.split("_")), "a name says what lives here"


def test_no_property_test_is_timed():
    assert settings.default is not None
    assert settings.default.deadline is None


def test_a_service_without_a_cluster_imports_nothing_of_one():
    script = "import sys, supervisor.service, supervisor.api.serving; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = shown.stdout.split()

    assert [name for name in loaded if name.startswith(("supervisor.cluster", "psycopg"))] == []
