"""Files shipped besides the program: unit, image, compose file, lock file, licences.

They are checked as text or with the tool that reads them; `scripts/verify-image` and
`scripts/release-check` test that they work.
"""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from supervisor.config import load
from supervisor.core.config_model import Config
from workers.units import parse_duration

ROOT = Path(__file__).parent.parent
UNIT = ROOT / "contrib" / "nightshift.service"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNITS = [UNIT, *(ROOT / "contrib" / f"nightshift-{name}.service" for name in ("web", "otel"))]
WEB_COMPOSE = yaml.safe_load((ROOT / "contrib" / "compose.web.yaml").read_text())
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
CLUSTER = ROOT / "contrib" / "cluster"
# Time to write the outcomes after the last process has exited.
LAST_WORDS_S = 2.0
# `systemd-analyze security` says OK below 5.0; this is in tenths.
MOST_EXPOSED = 20

with_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here"
)


def pinned(file: str = "requirements.txt") -> set[str]:
    """Return the distributions in a file of pins."""
    return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / file).read_text(), flags=re.M))


def settings(section: str) -> dict[str, list[str]]:
    """Return the unit's settings; a setting may occur more than once."""
    found: dict[str, list[str]] = {}
    inside = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            inside = line.strip("[]")
        elif inside == section and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


# --- systemd --------------------------------------------------------------------------


@with_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_unit_is_less_exposed_than_ok(unit):
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}"]

    done = subprocess.run([*command, str(unit)], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@with_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_no_mistake_in_the_unit(tmp_path, unit):
    there = tmp_path / unit.name
    there.write_text(re.sub(r"/opt/nightshift/bin/nightshift.*", "/bin/true", unit.read_text()))

    done = subprocess.run(["systemd-analyze", "verify", there], capture_output=True, text=True)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_waits_longer_than_the_grace():
    service = settings("Service")
    (grace,) = [v for v in service["Environment"] if v.startswith("NIGHTSHIFT_SHUTDOWN_GRACE=")]

    stop_s = parse_duration(service["TimeoutStopSec"][0])

    assert stop_s > parse_duration(grace.partition("=")[2]) + LAST_WORDS_S
    # Jobs get SIGTERM only from the supervisor; what is left is killed with the unit.
    assert service["KillMode"] == ["mixed"]


# --- container ------------------------------------------------------------------------


def test_old_builders_manage_the_dockerfile():
    assert "<<" not in DOCKERFILE
    assert "--link" not in DOCKERFILE
    assert "--mount" not in DOCKERFILE
    assert "--start-interval" not in DOCKERFILE


def run_lines():
    """Return the complete shell lines of the Dockerfile."""
    return re.findall(r"^RUN ((?:.*\\\n)*.*)$", DOCKERFILE, flags=re.M)


@pytest.mark.parametrize(
    ("extras", "files"),
    [
        ("", ["requirements.txt"]),
        ("web", ["requirements.txt"]),
        ("offsite,web,notify", [
            "requirements.txt", "requirements-offsite.txt", "requirements-notify.txt",
        ]),
        ("otel", ["requirements.txt", "requirements-otel.txt"]),
    ],
)  # fmt: skip
def test_the_image_installs_the_pins_of_the_extras_that_are_asked_for(extras, files):
    (line,) = [line for line in run_lines() if "EXTRAS" in line]
    script = re.sub(r"/build/bin/pip", "echo", line)
    environ = {"PATH": os.environ["PATH"], "EXTRAS": extras}

    done = subprocess.run(
        ["sh", "-c", script], env=environ, check=True, capture_output=True, text=True
    )

    build, service = done.stdout.splitlines()
    assert re.findall(r"/src/(\S+)", build) == ["requirements-build.txt"]
    assert re.findall(r"/src/(\S+)", service) == files
    assert all((ROOT / file).exists() for file in files)
    assert "--require-hashes" in build
    assert "--require-hashes" in service


def test_an_image_installs_packages_of_debian_only_if_they_are_named():
    (line,) = [line for line in run_lines() if "PACKAGES" in line]

    done = subprocess.run(["/bin/sh", "-c", line], env={"PATH": "/nowhere", "PACKAGES": ""})

    assert done.returncode == 0


def test_the_pins_of_an_extra_are_no_other_than_those_of_the_service():
    common = pinned()

    for file in ROOT.glob("requirements-*.txt"):
        if file.name != "requirements-build.txt":
            assert not common & pinned(file.name), file.name


def test_the_image_takes_every_python_that_the_package_takes():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    pythons = re.findall(r"Python :: (3\.\d+)", config["metadata"]["classifiers"])

    first = DOCKERFILE.partition("\nARG")[0]

    assert f"Python {pythons[0]} to {pythons[-1]}" in first
    assert "ARG BASE=python:" in DOCKERFILE


def test_the_image_runs_as_cron_in_the_form_that_receives_signals():
    assert "\nUSER 10001:10001\n" in DOCKERFILE
    assert '\nENTRYPOINT ["nightshift"]\n' in DOCKERFILE
    assert 'CMD ["nightshift", "healthcheck"]' in DOCKERFILE


def test_the_image_fits_into_dockers_ten_seconds():
    (grace,) = re.findall(r"NIGHTSHIFT_SHUTDOWN_GRACE=(\S+)", DOCKERFILE)

    assert parse_duration(grace) + LAST_WORDS_S < 10


def test_compose_closes_the_service_and_waits_longer_than_its_grace():
    service = COMPOSE["services"]["nightshift"]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    grace_s = parse_duration(service["environment"]["NIGHTSHIFT_SHUTDOWN_GRACE"])
    assert parse_duration(service["stop_grace_period"]) > grace_s + LAST_WORDS_S


def test_the_page_in_a_container_shares_only_the_socket():
    service, page = WEB_COMPOSE["services"]["nightshift"], WEB_COMPOSE["services"]["web"]

    assert page["volumes"] == service["volumes"] == ["socket:/run/nightshift"]
    assert page["environment"] == service["environment"]
    assert (page["read_only"], page["cap_drop"]) == (True, ["ALL"])
    assert all(port.startswith("127.0.0.1:") for port in page["ports"])
    assert "--allow" not in page["command"]


def test_the_cluster_in_compose_has_three_hosts_that_differ_in_name_and_state_alone():
    services = yaml.safe_load((CLUSTER / "compose.yaml").read_text())["services"]
    hosts = [services[name] for name in "abc"]

    assert [each["hostname"] for each in hosts] == ["a", "b", "c"]
    assert {each["image"] for each in hosts} == {services["init"]["image"]}
    assert len({each["volumes"][0] for each in hosts}) == 3
    for each in (*hosts, services["init"]):
        assert (each["read_only"], each["cap_drop"]) == (True, ["ALL"])
        assert each["secrets"] == ["dsn"]
    for each in hosts:
        grace_s = parse_duration(each["environment"]["NIGHTSHIFT_SHUTDOWN_GRACE"])
        assert parse_duration(each["stop_grace_period"]) > grace_s + LAST_WORDS_S


def test_the_cluster_in_kubernetes_keeps_names_and_state_and_waits_for_the_grace():
    kinds = {
        each["kind"]: each
        for each in yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text())
    }
    hosts = kinds["StatefulSet"]["spec"]
    pod = hosts["template"]["spec"]
    (container,) = pod["containers"]

    assert hosts["selector"]["matchLabels"] == hosts["template"]["metadata"]["labels"]
    assert hosts["serviceName"] == kinds["Service"]["metadata"]["name"]
    assert {each["name"] for each in container["volumeMounts"]} == {
        *(each["name"] for each in pod["volumes"]),
        *(each["metadata"]["name"] for each in hosts["volumeClaimTemplates"]),
    }
    grace_s = parse_duration(container["env"][0]["value"])
    assert pod["terminationGracePeriodSeconds"] > grace_s + LAST_WORDS_S
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["livenessProbe"]["exec"]["command"] == ["nightshift", "healthcheck"]


@pytest.mark.parametrize("manifest", ["compose.yaml", "kubernetes.yaml"])
def test_the_jobs_of_the_cluster_are_accepted_with_the_secret_of_each_manifest(tmp_path, manifest):
    (there,) = re.findall(r"\$\{file:([^}]+)\}", (CLUSTER / "jobs" / "jobs.yaml").read_text())
    secret = tmp_path / "dsn"
    secret.write_text("postgresql://nightshift:a-password@postgres/nightshift\n")
    text = (CLUSTER / "jobs" / "jobs.yaml").read_text().replace(there, str(secret))
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text(text)

    config = load(jobs, {"NIGHTSHIFT_LABELS": "zone:2"}).config

    assert there in (CLUSTER / manifest).read_text()
    assert config is not None
    assert config.cluster is not None
    assert config.cluster.labels == ("zone:2",)


def test_htmx_is_what_its_script_fetches():
    script = ROOT / "scripts" / "vendor-htmx"

    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


def test_compose_mounts_secrets_as_files_and_puts_none_into_the_environment():
    declared = set(COMPOSE["secrets"])

    for service in COMPOSE["services"].values():
        assert set(service["secrets"]) <= declared
        secret = {n for n in service["environment"] if re.search("PASSWORD|TOKEN|KEY|DSN", n)}
        assert {name for name in secret if not name.endswith("_FILE")} == set()
    for name in declared:
        assert name in (ROOT / "scripts" / "compose-up").read_text()


def test_compose_up_makes_secrets_once_that_only_we_reach(tmp_path):
    (tmp_path / "scripts").mkdir()
    for name in ("compose-up", "generate-catalogue"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts" / name)
    environ = {"PATH": os.environ["PATH"], "COMPOSE": "echo", "PYTHON": sys.executable}
    command = [tmp_path / "scripts" / "compose-up", "--wait"]

    first = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    secrets = tmp_path / "secrets"
    password = (secrets / "postgres_password").read_text()
    subprocess.run(command, env=environ, check=True, capture_output=True)

    assert first.stdout == "up --build --detach --wait\n"
    assert (secrets / "postgres_password").read_text() == password
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert re.fullmatch("[0-9a-f]{48}", password)
    assert (secrets / "notification_webhook_url").read_text() == ""
    assert (tmp_path / "var" / "catalogue" / "sets.json").exists()
    assert sorted(path.name for path in secrets.iterdir()) == sorted(COMPOSE["secrets"])


def test_without_an_engine_the_image_is_not_looked_at_and_the_reason_is_said():
    command = [sys.executable, ROOT / "scripts" / "verify-image"]

    done = subprocess.run(command, env={"PATH": "/nowhere"}, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "skipped: there is no docker; there is no podman\n"


def test_the_grace_of_the_file_itself_is_the_units():
    assert Config(()).shutdown_grace_s == 30


# --- lock, licences, release ----------------------------------------------------------


def test_every_requirement_is_pinned():
    command = [sys.executable, ROOT / "scripts" / "lock-requirements", "--check"]

    done = subprocess.run(command, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


def test_every_pin_has_its_hashes():
    for file in ROOT.glob("requirements*.txt"):
        for entry in re.split(r"\n(?=[a-z])", file.read_text())[1:]:
            assert re.fullmatch(r"[a-z0-9-]+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+\n?", entry)


EXTRAS = sorted(file.name for file in ROOT.glob("requirements-*.txt") if "build" not in file.name)


@pytest.mark.parametrize("file", ["requirements.txt", *EXTRAS])
def test_the_licence_of_every_library_is_listed(file):
    extra = file.removesuffix(".txt").partition("-")[2]
    title = f"With the extra {extra}" if extra else "The service and its page"

    assert licensed(title) == pinned(file)


def licensed(title: str) -> set[str]:
    """Return the distributions with a licence below a heading of docs/licences.md."""
    text = (ROOT / "docs" / "licences.md").read_text().partition(f"## {title}\n")[2]
    rows = re.findall(r"^\| ([\w.-]+) \| (\S.*?) \| http", text.partition("\n## ")[0], flags=re.M)
    return {re.sub(r"[-_.]+", "-", name).lower() for name, _ in rows}


def test_the_version_stands_in_one_place():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    literal = re.compile(r"^\s*__version__ = \"\d", flags=re.M)
    files = [*ROOT.glob("supervisor/**/*.py"), *ROOT.glob("workers/**/*.py")]

    places = [file.relative_to(ROOT) for file in files if literal.search(file.read_text())]

    assert places == [Path("workers/__init__.py")]
    assert config["metadata"]["version"] == "attr: workers.__version__"


def test_the_licence_and_the_marks_of_types_are_published():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")

    assert config["metadata"]["license_files"] == "LICENSE"
    for package in ("supervisor", "workers"):
        assert (ROOT / package / "py.typed").exists()
        assert "py.typed" in config["options.package_data"][package]
