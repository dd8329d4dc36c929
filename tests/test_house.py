"""Architecture test: which module may import which, read from the imports themselves.

`ALLOWED` lists the allowed imports. A new import between packages is a decision:
add it there with a reason, or do without it.
"""

from supervisor.core.dependencies import find_cycle
from tests.module_sources import NAMES, imports, is_ours

# A module, or a package with all its members -> which of our modules it may import. The
# longest name that matches a module counts. `x.*` is x and all its members, `x` is x alone.
ALLOWED = {
    # the rules
    "supervisor.core": "supervisor.core.* workers.protocol workers.units",
    # jobs.yaml: read in a child process, or by the command line
    "supervisor.config": "supervisor.config.* supervisor.core.* supervisor.redaction.secrets"
    " workers.path_text workers.regular_file workers.units workers.url_text",
    # error messages are shown, and may quote secrets
    "supervisor.config.load_file": "supervisor.config.* supervisor.core.*"
    " supervisor.redaction.mask workers.regular_file",
    "supervisor.config.cache": "supervisor.config.* supervisor.core.* supervisor workers"
    " workers.regular_file",
    "supervisor.config.worker_check": "supervisor.config.* supervisor.core.* workers"
    " supervisor.containment.instance_mark supervisor.containment.process_tree",
    "supervisor.config.first_load": "supervisor.config.* supervisor.core.*"
    " supervisor.containment.process_tree",
    "supervisor.config.yaml_writer": "workers.text",
    "supervisor.config.fingerprint": "workers.regular_file workers.report",
    "supervisor.config.definitions": "supervisor.config.* supervisor.core.*"
    " supervisor.redaction.secrets supervisor.containment.launch_spec workers.text",
    # processes; spawn and fork_server run in the fork server's process, never in ours
    "supervisor.containment": "supervisor.containment.* supervisor.core.* workers.protocol"
    " workers.units",
    "supervisor.containment.keeper": "supervisor.containment.* workers.json_text",
    "supervisor.containment.spawn": "supervisor.containment.* workers.bootstrap"
    " workers.environment",
    "supervisor.containment.fork_server": "supervisor.containment.* workers.bootstrap",
    "supervisor.ledger": "supervisor.ledger.* supervisor.core.* workers.text workers.units"
    " workers.volume",
    "supervisor.redaction": "supervisor.redaction.* supervisor.core.* workers.protocol",
    # the API may read the ledger and the output of runs; it never writes state
    "supervisor.api": "supervisor supervisor.api.* supervisor.core.* supervisor.redaction.mask"
    " workers.units"
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
    " workers.http_session workers.retry_after",
    # the list of backups: a child reads the folders, the supervisor only the list
    "supervisor.backups": "supervisor.backups.* supervisor.core.*"
    " supervisor.containment.internal_jobs workers.protocol",
    "supervisor.backups.read_folders": "supervisor.backups.* workers.backup.* workers.params"
    " workers.report workers.rotation.params workers.rotation.retention",
    # small adapters, independent of each other
    "supervisor.log": "supervisor.core.* workers.text",
    "supervisor.systemd": "supervisor.core.* supervisor.log workers.units",
    "supervisor.state_dir": "workers.lock_file",
    "supervisor.socket_http": "",
    "supervisor.reloader": "supervisor supervisor.core.* supervisor.config.*"
    " supervisor.state_dir supervisor.containment.internal_jobs workers.protocol"
    " workers.regular_file workers.units",
    "supervisor.cli.inherited_state": "workers.environment",
    # doctor runs in a command's own process and its children, which may load a worker
    "supervisor.doctor": "supervisor.doctor.* supervisor.core.* supervisor.ledger.queries"
    " supervisor.ledger.unattended"
    " supervisor.containment.instance_mark supervisor.containment.process_tree workers.units"
    " workers.volume",
    "supervisor.doctor.network": "supervisor.doctor.* supervisor.core.* workers.postgres_dsn"
    " workers.units",
    "supervisor.doctor.databases": "supervisor.doctor.* supervisor.core.* workers.units"
    " workers.sqlite workers.backup.*",
    # the page: a process of its own, a client of the socket; it writes nothing
    "supervisor.web": "supervisor supervisor.web.* supervisor.core.* supervisor.cli.client"
    " supervisor.cli.errors supervisor.api.limits supervisor.api.connection"
    " supervisor.api.host_names supervisor.api.sockets supervisor.backups.model"
    " supervisor.config.definitions supervisor.state_dir workers.text workers.units",
    "supervisor.doctor.cluster": "supervisor.doctor.* supervisor.core.* supervisor.cluster.*"
    " workers.units",
    # spans for OpenTelemetry: a client too, with a file of its own position
    "supervisor.telemetry": "supervisor supervisor.telemetry.* supervisor.core.*"
    " supervisor.cli.client supervisor.cli.decode supervisor.cli.errors workers.lock_file"
    " workers.http_session workers.regular_file workers.url_text",
    # a worker's parameters are read in a child, as the check of jobs.yaml reads them
    "supervisor.web.worker_reader": "supervisor.web.* supervisor.core.* supervisor.config.result"
    " supervisor.config.worker_check",
    "supervisor.web.views.parameters": "supervisor.config.worker_check",
    "supervisor.doctor.places": "supervisor.doctor.* supervisor.core.* workers.params"
    " workers.backup.places.*",
    # several hosts: processes of their own, except what the supervisor's own loop holds. The
    # agent is a client of the socket, the leader a service of its own
    "supervisor.cluster": "supervisor supervisor.cluster.* supervisor.core.* supervisor.ledger.*"
    " supervisor.socket_http"
    " supervisor.cli.client supervisor.cli.errors supervisor.containment.internal_jobs"
    " supervisor.containment.processes supervisor.log supervisor.state_dir workers.units"
    " workers.postgres_dsn",
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
SHARED = (
    "environment", "json_text", "lock_file", "path_text", "protocol", "regular_file", "text",
    "units", "url_text", "volume",
)  # fmt: skip


def rule_for(module: str) -> str:
    """Return the longest name in ALLOWED that contains this module."""
    fitting = [name for name in ALLOWED if module == name or module.startswith(name + ".")]
    return max(fitting, key=len)


def is_allowed(module: str, imported: str) -> bool:
    for target in ALLOWED[rule_for(module)].split():
        package = target.removesuffix(".*")
        if imported == package or (target != package and imported.startswith(package + ".")):
            return True
    return False


def test_every_import_between_packages_is_allowed():
    refused = {
        f"{module} imports {each}"
        for module in NAMES
        for each in imports(module)
        if is_ours(each) and not is_allowed(module, each)
    }

    assert refused == set()


def test_every_module_with_a_rule_exists():
    assert {name for name in ALLOWED if name not in NAMES} == set()


def test_workers_import_nothing_of_the_supervisor():
    importing = {
        module
        for module in NAMES
        if module.startswith("workers")
        and any(i.startswith("supervisor") for i in imports(module))
    }

    assert importing == set()


def test_the_supervisor_imports_only_shared_modules_of_the_workers():
    shared = {"workers"}
    shared |= {f"workers.{name}" for name in SHARED}
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
        "supervisor.telemetry.otlp",
        "supervisor.cluster.session",
        "supervisor.doctor.network",
        "supervisor.config.fingerprint",
    }

    others = {
        (module, imported)
        for module in NAMES
        if module.startswith("supervisor") and module not in in_other_processes
        for imported in imports(module)
        if imported.startswith("workers") and imported not in shared
    }

    assert others == set()


def test_the_page_is_a_client_that_nothing_of_the_service_imports():
    importing = {
        module
        for module in NAMES
        if not module.startswith("supervisor.web")
        and any(each.startswith("supervisor.web") for each in imports(module))
    }

    assert importing == {"supervisor.cli.commands.web"}


def test_spans_are_made_by_a_client_that_nothing_of_the_service_imports():
    importing = {
        module
        for module in NAMES
        if not module.startswith("supervisor.telemetry")
        and any(each.startswith("supervisor.telemetry") for each in imports(module))
    }
    with_sdk = {module for module in NAMES if any("opentelemetry" in i for i in imports(module))}

    assert importing == {"supervisor.cli.commands.otel"}
    assert with_sdk == {"supervisor.telemetry.otlp"}


def test_no_imports_go_in_a_circle():
    ours = {
        module: tuple(each for each in imports(module) if each in NAMES and each != module)
        for module in NAMES
    }

    assert find_cycle(ours) is None
