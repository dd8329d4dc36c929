"""The pages that list: jobs, timeline, calendar, incidents, backups, actions, config."""

from datetime import UTC, datetime, timedelta

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from supervisor import __version__
from supervisor.backups.model import Backups
from supervisor.core import ical, responses
from supervisor.core.calendar_views import Days, Upcoming
from supervisor.core.model import ReloadEntry
from supervisor.core.state import VERIFY
from supervisor.core.views import RunView
from supervisor.web.buttons import LISTED_S
from supervisor.web.forecast import MOST_JOBS, Planned, planned, usual_seconds
from supervisor.web.frame import PageAnswers
from supervisor.web.source import AnswerError
from supervisor.web.views import calendar, hosts, jobs, replication, timeline
from supervisor.web.views.query import one_of, whole
from supervisor.web.views.states import RANK

# Pages of a thousand runs that the timeline asks for.
MOST_ASKED = 3
SLOTS_A_JOB = 24
# Lines of jobs.yaml that are shown; the file may have hundreds of thousands.
MOST_CONFIG_BYTES = 512 * 1024


class ListPages(PageAnswers):
    """GET handlers; each raises AnswerError."""

    async def get_jobs(self, request: Request) -> Response:
        status, about = await self.web.source.status(), await self.web.source.jobs()
        wanted = jobs.choice(request.query_params)
        shown = jobs.jobs_page(status, about, wanted)
        await self.web.strips.fill(self.web.source, [row.name for row in shown.rows])
        strips = {row.name: jobs.bars(self.web.strips.of(row.name)) for row in shown.rows}
        values = {"shown": shown, "wanted": wanted, "strips": strips, "sorts": jobs.SORTS}
        return await self.page(request, "jobs.html", "Jobs", status, rank=RANK, **values)

    async def get_timeline(self, request: Request) -> Response:
        status, about = await self.web.source.status(), await self.web.source.jobs()
        choices = [str(hours) for hours in timeline.HOURS]
        hours = int(one_of(request.query_params, "hours", choices, "12"))
        shown = timeline.window(datetime.now(UTC), hours)
        runs = await self._runs_since(shown.begin)
        coming = await self._planned(shown.now, shown.end)
        drawn = timeline.timeline(
            runs,
            coming,
            [job.name for job in about],
            status.pool.max,
            shown,
            self.times(request, status),
        )
        values = {"drawn": drawn, "hours": hours, "choices": timeline.HOURS}
        values["simulated"] = len(about) <= MOST_JOBS
        return await self.page(request, "timeline.html", "Timeline", status, **values)

    async def get_calendar(self, request: Request) -> Response:
        status, about = await self.web.source.status(), await self.web.source.jobs()
        span = _span(request)
        page = whole(request.query_params, "page") or 1
        days = await self.web.source.get(Days, "days", days=span)
        heat = calendar.heat_map(days, page)
        coming = await self.web.source.get(Upcoming, "next", days=7, n=SLOTS_A_JOB)
        week = calendar.week(
            coming.slots,
            coming.until,
            [job.name for job in about],
            self.times(request, status),
            SLOTS_A_JOB,
        )
        values = {"heat": heat, "week": week, "span": span, "spans": calendar.SPANS}
        values["bounds"] = calendar.day_bounds(days)
        return await self.page(request, "calendar.html", "Calendar", status, **values)

    async def get_ical(self, request: Request) -> Response:
        """Return the coming slots for a calendar program."""
        days = _span(request)
        about = await self.web.source.jobs()
        query = {"days": days, "n": ical.PER_JOB, "limit": ical.MOST_EVENTS}
        slots = (await self.web.source.get(Upcoming, "next", **query)).slots
        text = ical.calendar(
            slots,
            {job.name: job.description for job in about},
            datetime.now(UTC),
            __version__,
            ical.about(days, len(slots) >= ical.MOST_EVENTS, per_job=True),
        )
        name = 'attachment; filename="nightshift.ics"'
        headers = {"Content-Disposition": name, "Content-Security-Policy": "sandbox"}
        return Response(text, media_type="text/calendar; charset=utf-8", headers=headers)

    async def get_incidents(self, request: Request) -> Response:
        status = await self.web.source.status()
        found = await self.web.source.get(responses.Incidents, "incidents", limit=200)
        now = datetime.now(UTC)
        opened = [each for each in found.incidents if each.closed_at is None]
        acked = [each for each in opened if each.acked_until and each.acked_until > now]
        values = {
            "open_": [each for each in opened if each not in acked],
            "acked": acked,
            "closed": [each for each in found.incidents if each.closed_at is not None],
        }
        return await self.page(request, "incidents.html", "Incidents", status, **values)

    async def get_backups(self, request: Request) -> Response:
        status = await self.web.source.status()
        found = await self.web.source.get(Backups, "backups", limit_s=LISTED_S)
        values = {"found": found, "checks": await self.web.source.runs(job=VERIFY, limit=5)}
        return await self.page(request, "backups.html", "Backups", status, **values)

    async def get_replication(self, request: Request) -> Response:
        status, about = await self.web.source.status(), await self.web.source.jobs()
        names = [job.name for job in about if job.worker == replication.WORKER]
        found = [
            replication.replica(name, await self.web.source.runs(job=name, limit=50))
            for name in names[:20]
        ]
        return await self.page(request, "replication.html", "Replication", status, found=found)

    async def get_hosts(self, request: Request) -> Response:
        """Show the hosts of a cluster. Raises: AnswerError, also where there is none."""
        status = await self.web.source.status()
        if not status.hosts:
            text = "This page shows a single host, not a cluster."
            raise AnswerError(text, "Its jobs are on the first page.", is_unknown=True)
        values = {
            "waiting": hosts.waiting(status.hosts, status.runs),
            "runs_on": hosts.on_hosts(status.hosts, status.runs),
        }
        return await self.page(request, "hosts.html", "Hosts", status, **values)

    async def get_actions(self, request: Request) -> Response:
        status = await self.web.source.status()
        found = await self.web.source.get(responses.Actions, "actions", limit=300)
        return await self.page(request, "actions.html", "Actions", status, found=found.actions)

    async def get_config(self, request: Request) -> Response:
        status = await self.web.source.status()
        text = await self.web.source.raw("config")
        asked = await self.web.source.get(responses.Actions, "actions", limit=1000)
        asked_for = [each for each in asked.actions if each.verb == "reload"][:20]
        values = {
            "text": text[:MOST_CONFIG_BYTES].decode(errors="replace"),
            "is_cut": len(text) > MOST_CONFIG_BYTES,
            "asked_for": asked_for,
            "known": {job.name for job in status.jobs},
            "read": await self._reloads(),
        }
        return await self.page(request, "config.html", "Config", status, **values)

    async def _runs_since(self, since: datetime) -> list[RunView]:
        """Return the runs that may reach into the window: a day before it as well."""
        found: list[RunView] = []
        before: int | None = None
        for _ in range(MOST_ASKED):
            asked = (since - timedelta(days=1)).isoformat()
            page = await self.web.source.runs(since=asked, before=before, limit=1000)
            found += page
            if len(page) < 1000:
                break
            before = page[-1].id
        return found

    async def _reloads(self) -> tuple[ReloadEntry, ...]:
        """Return the texts of jobs.yaml that were read; () if the supervisor cannot list them."""
        try:
            return (await self.web.source.get(responses.Reloads, "reloads", limit=30)).reloads
        except AnswerError as error:
            if error.is_unknown:
                return ()
            raise

    async def _planned(self, now: datetime, until: datetime) -> tuple[Planned, ...]:
        status, about = await self.web.source.status(), await self.web.source.jobs()
        if len(about) > MOST_JOBS:
            return ()
        await self.web.strips.fill(self.web.source, [job.name for job in about])
        seconds = {job.name: usual_seconds(self.web.strips.of(job.name)) for job in about}
        return await run_in_threadpool(planned, status, about, seconds, now, until)


def _span(request: Request) -> int:
    """Return how many days a calendar has. Raises: QueryError."""
    choices = [str(days) for days in calendar.SPANS]
    return int(one_of(request.query_params, "days", choices, choices[0]))
