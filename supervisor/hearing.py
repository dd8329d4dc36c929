"""What is heard from processes, with secrets masked before anybody keeps it.

Pure. The one gate through which texts of jobs come in: rows, alerts, heartbeats,
answers and the log are all made of what has passed here. Output is not heard but
lies in files; who reads those masks it.
"""

from collections.abc import Callable

from supervisor.core import events as ev
from supervisor.core.model import replace
from workers import protocol

Mask = Callable[[str], str]


def masked(event: ev.Event, mask: Mask) -> ev.Event:
    """The same event, its texts masked."""
    match event:
        case ev.Said(message=message):
            return replace(event, message=_message(message, mask))
        case ev.LaunchFailed(error=error):
            return replace(event, error=mask(error))
        case ev.Emptied(strays=strays) if strays:
            return replace(event, strays=tuple(map(mask, strays)))
        case _:
            return event


def _message(
    message: protocol.Message | protocol.Garbage, mask: Mask
) -> protocol.Message | protocol.Garbage:
    match message:
        case protocol.Log(level, text):
            return protocol.Log(level, mask(text))
        case protocol.Failed(error, permanent):
            return protocol.Failed(mask(error), permanent)
        case protocol.Garbage(why):
            return protocol.Garbage(mask(why))
        case protocol.Done(result):
            texts = {key: mask(v) for key, v in result.items() if isinstance(v, str)}
            return protocol.Done({**result, **texts})
        case _:
            return message
