"""Secrets in requests (`run --set token=...`): passed to the worker, never stored.

Holds the newest request secrets in memory; no I/O. The worker gets the given values
for as long as this process has the run. The ledger gets `***`, which loses nothing:
a manual run is not resumed after a restart.
"""

from collections import deque
from collections.abc import Iterator

import msgspec

from supervisor.core import effects
from supervisor.core.config_model import Config
from supervisor.core.control_requests import AssignRun, Request, RunJobs
from supervisor.core.model import Run, replace
from supervisor.redaction.mask import Mask, make_mask, mask_of
from supervisor.redaction.secrets import is_secret_name, secrets_among

# Number of secrets kept; runs of older requests have finished.
REMEMBERED = 100


class RequestSecrets:
    """The secrets of the newest requests."""

    def __init__(self) -> None:
        self._newest: deque[str] = deque(maxlen=REMEMBERED)

    def mask(self, config: Config) -> Mask:
        """Return a mask of these secrets and of those in the configuration."""
        return mask_of(config, self._newest)

    def remember(self, request: Request) -> bool:
        """Remember the secrets in a request; return whether any of them is new."""
        if not isinstance(request, RunJobs | AssignRun) or request.set_json == "{}":
            return False
        given = msgspec.json.decode(request.set_json, type=dict[str, object])
        texts = [pair for name, value in given.items() for pair in _texts(name, value)]
        fresh = [text for text in secrets_among(texts) if text not in self._newest]
        self._newest.extend(fresh)
        return bool(fresh)


def redacted_record(action: effects.Action) -> effects.Action:
    """Return the action with the secrets of its run's `set_json` masked."""
    if type(action) is effects.Record and type(action.row) is Run and action.row.set_json != "{}":
        masked = _masked(action.row.set_json)
        return replace(action, row=replace(action.row, set_json=masked))
    return action


def _masked(set_json: str) -> str:
    given = msgspec.json.decode(set_json, type=dict[str, object])
    return msgspec.json.encode({k: _shown(k, v) for k, v in given.items()}).decode()


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the texts of a value, each with the name of the key that holds it."""
    match value:
        case str():
            yield name, value
        case int() | float() if not isinstance(value, bool):
            yield name, msgspec.json.encode(value).decode()
        case list():
            for each in value:
                yield from _texts(name, each)
        case dict():
            for key, each in value.items():
                yield from _texts(name if is_secret_name(name) else key, each)


def _shown(name: str, value: object) -> object:
    if is_secret_name(name):
        return "***"
    match value:
        case str():
            return make_mask(secrets_among([(name, value)]))(value)
        case list():
            return [_shown(name, each) for each in value]
        case dict():
            return {key: _shown(key, each) for key, each in value.items()}
        case _:
            return value
