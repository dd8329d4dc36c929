"""The kinds of channels: one module for each, named as its key in jobs.yaml.

A module is found by its name, so that no list of them has to be kept.
"""

from importlib import import_module

from supervisor.notifications.channel_kind import ChannelKind


def kind_of(name: str) -> ChannelKind:
    """Return the functions of a kind that `config/channel_keys.py` lists."""
    found = import_module(f"{__name__}.{name}").KIND
    assert isinstance(found, ChannelKind)
    return found
