"""GET: what is published, what the ledger holds, what a run prints."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from supervisor import shown
from supervisor.api.answers import Problem, as_json
from supervisor.api.ground import Ground, instant_in, now, number_in
from supervisor.containment import output
from supervisor.core import explain, schedule, view
from supervisor.core.model import State
from supervisor.ledger.history import Wanted
from supervisor.masking import masker

# The tick is alive if it came within this; the container's health check asks.
ALIVE_S = 90.0
FOLLOW_EVERY_S = 0.2


class Reading:
    """The answers to questions."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def get_status(self, request: Request) -> Response:
        return as_json(view.status(self._ground.world, self._ground.desk.facts, now()))

    async def get_jobs(self, request: Request) -> Response:
        mask = masker(self._ground.world.config.secrets)
        return as_json(
            {"jobs": [shown.job(job, mask) for job in view.in_file(self._ground.world)]}
        )

    async def get_job(self, request: Request) -> Response:
        job, mask = self._ground.job(request), masker(self._ground.world.config.secrets)
        told = shown.job(job, mask)
        told["status"] = view.job_status(self._ground.world, job, now())
        told["runs"] = [
            view.open_run(self._ground.world, run)
            for run in self._ground.world.open_runs_of(job.name)
        ]
        if request.query_params.get("env") in ("1", "true"):
            told["environment"] = shown.environment(job, mask, os.environ, self._ground.folder)
        return as_json(told)

    async def get_next(self, request: Request) -> Response:
        most = min(number_in(request.query_params.get("n", "5"), "n"), 1000)
        zone = schedule.zone(self._ground.job(request).timezone)
        slots = view.coming(self._ground.world, self._ground.job(request), now(), most)
        return as_json({"slots": [slot.astimezone(zone) for slot in slots]})

    async def get_explain(self, request: Request) -> Response:
        job = self._ground.job(request)
        zone = schedule.zone(self._ground.world.config.timezone)
        asked = request.query_params.get("at")
        if asked is None:
            newest = self._ground.history.runs(Wanted(job=job.name, limit=1))
            runs = self._ground.world.open_runs_of(job.name) or newest
            facts = [] if runs else [f"{job.name} has not run yet."]
        else:
            at = instant_in(asked, "at")
            runs = self._ground.history.runs_at(job.name, at)
            gap = None if runs else self._ground.history.gap_at(job.name, at)
            facts = explain.in_gap(gap, zone) if gap else []
            facts = facts if runs or facts else explain.no_slot(job, at, zone)
        for run in runs:
            open_now = self._ground.world.runs.get(run.id, run)
            waits = view.waiting_for(self._ground.world, open_now)
            facts += explain.run(open_now, self._ground.history.attempts(run.id), waits, zone)
        following = view.job_status(self._ground.world, job, now()).next_at
        if asked is None and following is not None:
            facts.append(f"Its next slot is {following.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}.")
        return as_json({"job": job.name, "facts": facts})

    async def get_runs(self, request: Request) -> Response:
        query = request.query_params
        state = query.get("state")
        if state is not None and state not in list(State):
            raise Problem(422, f'state "{state}": expected one of {", ".join(State)}')
        wanted = Wanted(
            job=query.get("job"),
            state=state,
            since=instant_in(query["since"], "since") if "since" in query else None,
            before=number_in(query["before"], "before") if "before" in query else None,
            limit=number_in(query.get("limit", "100"), "limit"),
        )
        runs = [
            self._ground.world.runs.get(run.id, run) for run in self._ground.history.runs(wanted)
        ]
        return as_json({"runs": [self._ground.show(run) for run in runs]})

    async def get_run(self, request: Request) -> Response:
        return as_json(self._ground.show_whole(self._ground.run(request)))

    async def get_log(self, request: Request) -> Response:
        run = self._ground.run(request)
        kind = "text/plain; charset=utf-8"
        mask = masker(self._ground.world.config.secrets)
        if request.query_params.get("follow") in ("1", "true"):
            return StreamingResponse(self._follow(run.id, mask), media_type=kind)
        text = output.join(self._ground.folder / "runs", run.id).decode(errors="replace")
        return Response(mask(text), media_type=kind)

    async def get_incidents(self, request: Request) -> Response:
        limit = number_in(request.query_params.get("limit", "100"), "limit")
        found = self._ground.history.incidents(limit)
        return as_json(
            {"incidents": [view.incident_view(self._ground.world, each) for each in found]}
        )

    async def get_actions(self, request: Request) -> Response:
        limit = number_in(request.query_params.get("limit", "100"), "limit")
        return as_json({"actions": self._ground.history.actions(limit)})

    async def get_health(self, request: Request) -> Response:
        age_s = time.monotonic() - self._ground.desk.ticked_mono
        if self._ground.desk.is_ready and age_s < ALIVE_S:
            return as_json({"healthy": True, "tick_age_seconds": round(age_s, 3)})
        raise Problem(503, f"the last tick was {age_s:.0f} s ago")

    async def get_ready(self, request: Request) -> Response:
        if self._ground.world.ledger_trouble:
            raise Problem(
                503, f"the ledger cannot be written: {self._ground.world.ledger_trouble}"
            )
        if not self._ground.desk.is_ready or self._ground.world.life != "serving":
            raise Problem(503, f"the supervisor is {self._ground.world.life}")
        return as_json({"ready": True})

    async def _follow(self, run: int, mask: Callable[[str], str]) -> AsyncIterator[bytes]:
        """The log as it grows, whole lines at a time, until the run is over."""
        runs_dir, position, rest = self._ground.folder / "runs", 0, b""
        while True:
            world = self._ground.world
            is_over = run not in world.runs and run not in world.living
            new, position = output.after(runs_dir, run, position)
            # A secret or a letter must not be cut in two, so an open line waits.
            whole, newline, rest = (rest + new).rpartition(b"\n")
            if is_over:
                whole, rest = whole + newline + rest, b""
            if whole:
                yield mask((whole + newline * (not is_over)).decode(errors="replace")).encode()
            if is_over:
                return
            await asyncio.sleep(FOLLOW_EVERY_S)
