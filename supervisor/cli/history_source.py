"""The past of a service, for the commands that show it: from its supervisor, or its ledger.

A supervisor is asked first. If none answers, the ledger in its state folder is read
instead, which standard error says in one line; the answers are the same.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from supervisor.cli.client import READ_S, Client
from supervisor.cli.decode import decode
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import complain
from supervisor.cli.paths import Paths
from supervisor.cli.time_format import TimeFormat, time_format
from supervisor.core.escape import escape_control
from supervisor.core.views import Status
from workers.text import readable

if TYPE_CHECKING:
    from supervisor.cli.ledger_answers import LedgerAnswers


class HistorySource:
    """Answers to GET requests about the past. Every method may raise CliError."""

    def __init__(self, here: Paths) -> None:
        self._here = here
        self._client = Client(here.service_socket)
        self._ledger: LedgerAnswers | None = None

    def get(self, *parts: str, **query: object) -> bytes:
        """Return the body of `GET /part/part?query`; a query value of None is left out."""
        if self._ledger is None:
            try:
                return self._client.get(*parts, limit_s=READ_S, **query)
            except CliError as failure:
                self._ledger = self._read_instead(failure)
        return self._ledger.get(parts, query)

    def stream(self, *parts: str, **query: object) -> Iterator[bytes]:
        """Yield the body of `GET /part/part?query` as it arrives."""
        if self._ledger is None:
            try:
                yield from self._client.stream(*parts, **query)
                return
            except CliError as failure:
                self._ledger = self._read_instead(failure)
        yield self._ledger.get(parts, query)

    def time_format(self, utc: bool) -> TimeFormat:
        """Return a TimeFormat for now in the service's zone, or in UTC."""
        if utc:
            return time_format("UTC")
        if self._ledger is None:
            try:
                return time_format(decode(self._client.get("v1", "status"), Status).timezone)
            except CliError as failure:
                self._ledger = self._read_instead(failure)
        return time_format(self._ledger.timezone)

    def _read_instead(self, failure: CliError) -> "LedgerAnswers":
        """Return the answers of the ledger.

        Raises:
            CliError: `failure`, with the reason if there is no ledger to read.
        """
        folder = self._here.ledger_folder
        if failure.status is not ExitCode.NO_SUPERVISOR or folder is None:
            raise failure
        # Late: a supervisor that answers has read the ledger and jobs.yaml itself.
        from supervisor.cli.ledger_answers import LedgerUnreadableError, ledger_answers

        try:
            found = ledger_answers(self._here, folder)
        except LedgerUnreadableError as error:
            text = f"{failure.text}, and {error}"
            raise CliError(failure.status, text, failure.hint) from error
        complain(escape_control(readable(f"{failure.text}; {found.notice}")))
        return found
