"""A kind of channel is three files: what sends to it, its keys, its test."""

import ast
import pkgutil
from pathlib import Path

import pytest

from supervisor.config.channel_keys import CHANNEL_KINDS
from supervisor.notifications import channels
from supervisor.notifications.channel_kind import ChannelKind

ROOT = Path(__file__).parents[2]
# The keys, and the words of other programs for which a key is suggested.
MAY_NAME_A_KIND = ("supervisor/config/channel_keys.py", "supervisor/config/foreign_keys.py")


def constants(file: Path) -> set[str]:
    """Return all texts that are constants in a file."""
    return {
        node.value
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_each_kind_has_a_module_and_each_module_has_keys():
    modules = {module.name for module in pkgutil.iter_modules(channels.__path__)}

    assert modules == set(CHANNEL_KINDS)


@pytest.mark.parametrize("name", CHANNEL_KINDS)
def test_a_kind_is_three_files(name):
    naming = {
        str(file.relative_to(ROOT))
        for file in ROOT.glob("supervisor/**/*.py")
        if name in constants(file)
    }

    assert naming <= {*MAY_NAME_A_KIND, f"supervisor/notifications/channels/{name}.py"}
    assert isinstance(channels.kind_of(name), ChannelKind)
    assert (ROOT / f"tests/edge/test_{name}.py").is_file()


@pytest.mark.parametrize("name", CHANNEL_KINDS)
def test_the_first_key_of_a_kind_holds_its_address_and_names_it(name):
    assert CHANNEL_KINDS[name][0].name == name
