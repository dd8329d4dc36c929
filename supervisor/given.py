"""Secrets that a request brings along (`run --set token=...`): used, and never kept.

Pure but for what it remembers. The worker gets what was given, for as long as this life
has the run; the ledger gets `***`, which loses nothing, since a manual run is not taken
up again by the next life.
"""

from collections import deque
from collections.abc import Iterator

import msgspec

from supervisor.config.secrets import is_telling, secrets_among
from supervisor.core import effects
from supervisor.core.asks import Request, RunJobs
from supervisor.core.model import Config, Run, replace
from supervisor.masking import Mask, mask_of, masker

# Whose words may still hold one; older runs are over.
REMEMBERED = 100


class Given:
    """The secrets of the newest requests."""

    def __init__(self) -> None:
        self._newest: deque[str] = deque(maxlen=REMEMBERED)

    def mask(self, config: Config) -> Mask:
        """Return what masks them, and what jobs.yaml says."""
        return mask_of(config, self._newest)

    def hear(self, request: Request) -> bool:
        """Remember what is secret in a request; whether there was anything new."""
        if not isinstance(request, RunJobs) or request.set_json == "{}":
            return False
        given = msgspec.json.decode(request.set_json, type=dict[str, object])
        texts = [pair for name, value in given.items() for pair in _texts(name, value)]
        fresh = [text for text in secrets_among(texts) if text not in self._newest]
        self._newest.extend(fresh)
        return bool(fresh)


def as_kept(action: effects.Action) -> effects.Action:
    """The action, its record without the secrets that were given with the run."""
    match action:
        case effects.Record(Run(set_json=given) as run) if given != "{}":
            return replace(action, row=replace(run, set_json=_masked(given)))
        case _:
            return action


def _masked(set_json: str) -> str:
    given = msgspec.json.decode(set_json, type=dict[str, object])
    return msgspec.json.encode({k: _shown(k, v) for k, v in given.items()}).decode()


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    """The texts of a value, each with the name it stands under."""
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
                yield from _texts(name if is_telling(name) else key, each)


def _shown(name: str, value: object) -> object:
    if is_telling(name):
        return "***"
    match value:
        case str():
            return masker(secrets_among([(name, value)]))(value)
        case list():
            return [_shown(name, each) for each in value]
        case dict():
            return {key: _shown(key, each) for key, each in value.items()}
        case _:
            return value
