"""What a kind of channel can do, and the values that its functions take and return.

Each module of `channels` defines one `ChannelKind` as `KIND`. The supervisor makes the
messages; a child process sends them, because a call may hang.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from supervisor.notifications.alert_text import AlertContext, Mask
from supervisor.notifications.call_result import CallResult

# JSON: it is handed to a child process.
Message = dict[str, Any]


class Target(Struct, frozen=True):
    """Where a child process sends messages: the address and the other keys of its kind."""

    url: str
    settings: Mapping[str, Any]


# Posts a body with these headers to a URL.
Post = Callable[[str, bytes, Mapping[str, str]], CallResult]


class ChannelKind(Struct, frozen=True):
    """The functions of one kind of channel.

    message: returns the message of an alert, every text masked. test_message: returns the
        message that a host sends as a test. Both are pure and run in the supervisor.
    send: sends one message; it runs in a child process and may block.
    """

    message: Callable[[AlertContext, Mask], Message]
    test_message: Callable[[str], Message]
    send: Callable[[Target, Message, Post], CallResult]
