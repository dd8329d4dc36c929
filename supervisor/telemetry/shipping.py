"""Send each run that has ended once, as a span, also those that ended while nothing was sent.

Only numbers of runs are kept; a run is read when it is sent. So a dead collector costs
no memory beyond `MOST_WAITING` numbers, and a restart goes on where it was.
"""

import time
from collections.abc import Callable
from typing import NoReturn

from supervisor.cli.client import Client
from supervisor.cli.decode import decode
from supervisor.cli.errors import CliError, ExitCode
from supervisor.core.responses import Runs
from supervisor.core.views import RunView, Status
from supervisor.telemetry.ended_runs import EndedRuns
from supervisor.telemetry.otlp import Exporter, Outcome
from supervisor.telemetry.position import Position, PositionFile
from supervisor.telemetry.spans import Span, span_of

# What a run has used is known shortly after its end, when its last process is gone.
LINGER_S = 1.0
AGAIN_S = 1.0
LONGEST_WAIT_S = 60.0
MOST_SPANS = 256


class Shipping:
    """Reads runs and sends them; say: prints a line for people."""

    def __init__(
        self,
        client: Client,
        file: PositionFile,
        exporter: Exporter,
        say: Callable[[str], object],
    ) -> None:
        """Read the position. Raises: PositionError."""
        self._client, self._file, self._exporter, self._say = client, file, exporter, say
        self._position = file.read()
        self._ended = EndedRuns(client)
        self._ready: set[int] = set()
        self._is_behind = True
        self._most_spans = MOST_SPANS
        self._wait_s = AGAIN_S
        self._complaint = ""
        self._is_sending, self._is_over = False, False

    def interrupt(self, *_: object) -> None:
        """End `run`: a wait at once, a batch when it is sent and kept; a signal's handler.

        Raises: KeyboardInterrupt.
        """
        self._is_over = True
        if not self._is_sending:
            raise KeyboardInterrupt

    def run(self) -> NoReturn:
        """Send what has ended and what ends, until an exception such as KeyboardInterrupt."""
        self._ended.start()
        while True:
            if not self._ready and not self._is_behind:
                # Without news of the stream for so long, it is asked for: it may not be open.
                self._is_behind = not self._ended.wait(LONGEST_WAIT_S)
            time.sleep(LINGER_S)
            try:
                self._collect()
                if self._send_ready():
                    self._wait_s = AGAIN_S
                    continue
                time.sleep(self._wait_s)
            except CliError as error:
                self._complain(f"the supervisor cannot be asked: {error.text}")
                self._is_behind = True
                self._ended.wait(self._wait_s)
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    def _collect(self) -> None:
        """Take up what has ended. Raises: CliError."""
        ended = self._ended.take()
        self._is_behind = self._is_behind or ended.is_gap
        if self._is_behind:
            self._look_around()
            self._is_behind = False
        elif self._position is not None and ended.runs:
            self._move(self._position.reaching(max(ended.runs)))
            self._ready |= ended.runs
        if self._position is not None:
            self._ready &= self._position.waiting

    def _look_around(self) -> None:
        """Compare the position with the ledger; anything that waits may have ended."""
        status = decode(self._client.get("v1", "status"), Status)
        if not status.instance:
            text = f"the supervisor is of version {status.version}, expected a newer one"
            raise CliError(ExitCode.NO, text)
        found = decode(self._client.get("v1", "runs", limit=1), Runs).runs
        newest = found[0].id if found else 0
        self._exporter.describe(status.instance)
        if self._position is None or self._position.instance != status.instance:
            self._say("begins with the runs that end from now on")
            is_open = frozenset(run.id for run in status.runs if not run.is_final)
            self._position = Position(status.instance, newest, is_open)
            self._keep()
        else:
            self._move(self._position.reaching(newest))
        self._ready = set(self._position.waiting)

    def _move(self, further: Position) -> None:
        if self._position is not None:
            came = further.seen - self._position.seen
            given_up = len(self._position.waiting) + came - len(further.waiting)
            if given_up:
                self._say(f"gave up {given_up} runs: too many wait to be sent")
        self._position = further

    def _send_ready(self) -> bool:
        """Send what is ready, in batches; return whether nothing has to be tried again."""
        while self._ready and self._position is not None:
            batch = sorted(self._ready)[: self._most_spans]
            spans = self._spans(batch)
            self._is_sending = True
            outcome = self._send(spans) if spans else Outcome.SENT
            if outcome is Outcome.SENT:
                done = frozenset(self._ready.intersection(batch))
                self._position = self._position.without(done)
                self._ready -= done
                self._keep()
            self._is_sending = False
            if self._is_over:
                raise KeyboardInterrupt
            if outcome is Outcome.LATER:
                return False
        if self._complaint:
            self._complaint = ""
            self._say("spans are sent again")
        return True

    def _send(self, spans: list[Span]) -> Outcome:
        """Send a batch; return SENT if it is done with, REFUSED if a smaller one may be taken."""
        outcome = self._exporter.send(spans)
        if outcome is Outcome.LATER:
            text = f"{len(self._ready)} runs wait for the collector"
            self._complain(f"{text}: {self._exporter.last_words}")
        elif outcome is Outcome.REFUSED and len(spans) > 1:
            self._most_spans = max(1, len(spans) // 2)
        else:
            self._most_spans = min(2 * self._most_spans, MOST_SPANS)
            if outcome is Outcome.REFUSED:
                text = f"the collector refuses a run of {spans[0].name}, which is left out"
                self._say(f"{text}: {self._exporter.last_words}")
            elif self._exporter.rejected:
                self._say(f"the collector left out {self._exporter.rejected}")
            return Outcome.SENT
        return outcome

    def _spans(self, batch: list[int]) -> list[Span]:
        """Return the spans of a batch; those that still run are no longer ready."""
        spans = []
        for number in batch:
            run = self._read(number)
            if run is not None and not run.is_final:
                self._ready.discard(number)
            elif run is not None and self._position is not None:
                spans.append(span_of(run, self._position.instance))
        return spans

    def _read(self, number: int) -> RunView | None:
        """Return a run with its attempts; None if it is no longer kept. Raises: CliError."""
        try:
            body = self._client.get("v1", "runs", str(number))
        except CliError as error:
            if error.status is ExitCode.USAGE:
                return None
            raise
        return decode(body, RunView)

    def _keep(self) -> None:
        if self._position is not None:
            try:
                self._file.write(self._position)
            except OSError as error:
                self._complain(f"what was sent cannot be kept: {error}")

    def _complain(self, text: str) -> None:
        """Print the first complaint of an outage; `_send_ready` says its end."""
        if not self._complaint:
            self._say(text)
        self._complaint = text
