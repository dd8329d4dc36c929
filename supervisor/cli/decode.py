"""Decode the supervisor's answers as the types that it encodes: `core/views.py` and others."""

from typing import TypeVar

import msgspec

from supervisor.cli.errors import CliError, ExitCode

A = TypeVar("A")


def decode(body: bytes, kind: type[A]) -> A:
    """Return the body of an answer as a value of `kind`.

    Raises:
        CliError: the body does not match `kind`.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        hint = "is the supervisor of another version? nightshift stop, then start"
        raise CliError(ExitCode.NO, f"the answer cannot be read: {error}", hint) from error
