"""GET handlers of days and coming slots of all jobs."""

import asyncio
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from supervisor.api import parameters as given
from supervisor.api.context import HandlerContext, now
from supervisor.api.errors import as_json
from supervisor.core import calendar_views, schedule
from supervisor.core.calendar_views import DayBounds, Upcoming, UpcomingSlot
from supervisor.ledger.day_counts import DayCounts


class CalendarHandlers:
    """Handlers of `/v1/days` and `/v1/next`; keeps the counts of the days last asked for."""

    def __init__(self, context: HandlerContext) -> None:
        self._context = context
        self._counted: DayCounts | None = None
        self._counting = asyncio.Lock()

    async def get_days(self, request: Request) -> Response:
        scheduler = self._context.scheduler
        zone = schedule.zone(scheduler.config.timezone)
        today = now().astimezone(zone).date()
        bounds = DayBounds(today - timedelta(days=given.PAST_DAYS.of(request) - 1), today, zone)
        async with self._counting:
            counted = await self._counts(bounds)
            counted.update(self._context.scheduler.runs)
            gaps = self._context.history.gaps(bounds.midnights[0])
            return as_json(
                calendar_views.days(self._context.scheduler, counted.counts, gaps, bounds)
            )

    async def get_next(self, request: Request) -> Response:
        scheduler, at, coming = self._context.scheduler, now(), given.COMING_DAYS.of(request)
        until = None if coming is None else at + timedelta(days=coming)
        asked = given.PER_JOB.of(request), given.SLOT_LIMIT.of(request)
        found, are_all = calendar_views.upcoming(scheduler, at, until, *asked)
        zone = schedule.zone(scheduler.config.timezone)
        slots = tuple(UpcomingSlot(job, slot.astimezone(zone)) for slot, job in found)
        end = until if are_all else found[-1][0]
        local = None if end is None else end.astimezone(zone)
        return as_json(Upcoming(scheduler.config.timezone, slots, local))

    async def _counts(self, bounds: DayBounds) -> DayCounts:
        history, known = self._context.history, self._counted
        if known is not None and known.covers(history, bounds):
            return known
        scheduler = self._context.scheduler
        made = DayCounts(history, bounds)
        for _ in made.load(scheduler.next_run - 1, scheduler.runs):
            await asyncio.sleep(0)  # let other requests run between two days
        self._counted = made
        return made
