"""A kind of channel consists of three files: its sender, its keys, its test."""

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec
import pytest

from supervisor.config.channel_keys import CHANNEL_KINDS
from supervisor.core.model import replace
from supervisor.notifications import channels
from supervisor.notifications.alert_sender import BATCH_BYTES
from supervisor.notifications.channel_kind import ChannelKind
from tests.edge.fixtures_alerts import ALERT, JOB, about

ROOT = Path(__file__).parents[2]
# The keys, and the other programs' words for which a key is suggested.
MAY_NAME_A_KIND = ("supervisor/config/channel_keys.py", "supervisor/config/foreign_keys.py")


@cache
def named() -> Mapping[str, set[str]]:
    """Return the files of the supervisor that have each kind as a constant text."""
    found: dict[str, set[str]] = {name: set() for name in CHANNEL_KINDS}
    for file in ROOT.glob("supervisor/**/*.py"):
        text = file.read_text()
        if not any(name in text for name in CHANNEL_KINDS):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and node.value in CHANNEL_KINDS:
                found[str(node.value)].add(str(file.relative_to(ROOT)))
    return found


def test_each_kind_has_a_module_and_each_module_has_keys():
    modules = {module.name for module in pkgutil.iter_modules(channels.__path__)}

    assert modules == set(CHANNEL_KINDS)


@pytest.mark.parametrize("name", CHANNEL_KINDS)
def test_a_kind_is_three_files(name):
    others = {*MAY_NAME_A_KIND, f"supervisor/notifications/channels/{name}.py"}

    assert named()[name] <= others
    assert isinstance(channels.kind_of(name), ChannelKind)
    assert (ROOT / f"tests/edge/test_{name}.py").is_file()


@pytest.mark.parametrize("name", CHANNEL_KINDS)
def test_the_first_key_of_a_kind_holds_its_address_and_names_it(name):
    assert CHANNEL_KINDS[name][0].name == name


@pytest.mark.parametrize("text", ["🔴", '"', "\\", "<", "\n", "'"], ids=ascii)
@pytest.mark.parametrize("name", CHANNEL_KINDS)
def test_the_longest_message_fits_into_one_packet(name, text):
    long = text * 30_000
    reported = about(
        replace(ALERT, cause=long), job=replace(JOB, description=long), output=(long,) * 9
    )

    message = channels.kind_of(name).message(reported, str)

    params = msgspec.json.encode({"messages": [message]}).decode()
    assert len(msgspec.json.encode(params)) < BATCH_BYTES


@pytest.mark.parametrize("name", CHANNEL_KINDS)
def test_a_message_is_the_same_after_its_way_to_the_child(name):
    kind = channels.kind_of(name)

    for message in (kind.message(about(), str), kind.test_message("box")):
        assert msgspec.json.decode(msgspec.json.encode(message)) == message


def test_the_supervisor_loads_no_client_to_make_a_message():
    script = "import sys; from supervisor.notifications.channels import kind_of\n"
    script += f"[kind_of(name) for name in {list(CHANNEL_KINDS)}]; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()

    assert not {"requests", "urllib3", "smtplib", "ssl", "apprise"} & set(loaded)
