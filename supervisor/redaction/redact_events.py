"""Masks secrets in events from processes and requests before they are stored.

Pure. All texts of jobs enter through this module: rows, alerts, heartbeats, answers
and the log are made of events that have passed it. Run output is not an event: it
is stored raw and masked when it is read.
"""

from supervisor.core import control_requests
from supervisor.core import events as ev
from supervisor.core.model import replace
from supervisor.redaction.mask import SHOWN, Mask
from workers import protocol


def redact_event(event: ev.Event, mask: Mask) -> ev.Event:
    """Return the event with its texts masked."""
    match event:
        case ev.MessageReceived(message=message):
            return replace(event, message=_message(message, mask))
        case ev.LaunchFailed(error=error):
            return replace(event, error=mask(error))
        case ev.TreeEmpty(strays=strays) if strays:
            return replace(event, strays=tuple(map(mask, strays)))
        case ev.Requested(
            request=control_requests.PauseJob() | control_requests.AckIncident() as request
        ):
            return replace(event, request=replace(request, reason=mask(request.reason)))
        case _:
            return event


def _message(
    message: protocol.Message | protocol.Garbage, mask: Mask
) -> protocol.Message | protocol.Garbage:
    match message:
        case protocol.Log(level, text):
            return protocol.Log(level, mask(text))
        case protocol.Failed(error, permanent, incident):
            return protocol.Failed(mask(error), permanent, incident)
        case protocol.Garbage(why):
            return protocol.Garbage(mask(why))
        case protocol.Progress(done, total, unit):
            return protocol.Progress(done, total, mask(unit))
        case protocol.Metric(name, value):
            return protocol.Metric(mask(name), value)
        case protocol.Done(result):
            return protocol.Done({mask(key): _value(value, mask) for key, value in result.items()})
        case _:
            return message


def _value(value: protocol.Scalar, mask: Mask) -> protocol.Scalar:
    """Return a text masked, and a number masked if it is a secret as a whole."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, bool) or value is None:
        return value
    return value if mask(str(value)) == str(value) else SHOWN
