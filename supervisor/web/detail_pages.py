"""The pages of one thing: a job, a run, and the history they link to."""

from datetime import datetime
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from supervisor.core import responses
from supervisor.core.views import RunView, Status
from supervisor.web.frame import PageAnswers
from supervisor.web.source import AnswerError
from supervisor.web.views import job as job_view
from supervisor.web.views import jobs
from supervisor.web.views.hosts import fitting
from supervisor.web.views.query import instant, one_of, whole
from supervisor.web.views.times import Times

HISTORY = 50
# The end of a log that a page shows; the rest is one click away.
LOG_BYTES, WHOLE_LOG_BYTES = 128 * 1024, 2 * 1024 * 1024
_STATES = (
    *("success", "failed", "skipped", "missed", "cancelled", "interrupted"),
    *("pending", "running", "retrying"),
)


class DetailPages(PageAnswers):
    """GET handlers; each raises AnswerError."""

    async def get_job(self, request: Request) -> Response:
        name = request.path_params["job"]
        status = await self.web.source.status()
        job = await self.web.source.get(responses.JobDetail, "jobs", name)
        runs = await self.web.source.runs(job=name, limit=100)
        times = self.times(request, status)
        at = request.query_params.get("at", "")
        slots = (await self.web.source.get(responses.Slots, "jobs", name, "next", n=5)).slots
        values = {
            "job": job,
            "rows": job_view.definition_rows(job),
            "cron": job_view.cron_words(job),
            "runs": runs[:HISTORY],
            "chart": job_view.chart(runs),
            "slots": slots,
            "hosts": fitting(status.hosts, job.runs_on),
            "facts": await self._facts(name, at, times),
            "at": at,
            "bars_of": {run.id: jobs.progress_bar(run.progress) for run in job.runs},
        }
        return await self.page(request, "job.html", name, status, **values)

    async def get_run(self, request: Request) -> Response:
        number = request.path_params["run"]
        status = await self.web.source.status()
        run = await self.web.source.get(RunView, "runs", str(number))
        facts = await self.web.source.get(responses.Explained, "runs", str(number), "explain")
        values = {
            "run": run,
            "facts": facts.facts,
            "waiting": _waiting_for(status, run.id),
            "progress": jobs.progress_bar(run.progress),
            **await self._log(request, run),
        }
        return await self.page(request, "run.html", f"{run.job} run {run.id}", status, **values)

    async def get_history(self, request: Request) -> Response:
        status = await self.web.source.status()
        query = request.query_params
        wanted = {
            "job": query.get("job") or None,
            "state": one_of(query, "state", _STATES, "") or None,
            "since": instant(query, "since"),
            "until": instant(query, "until"),
            "before": whole(query, "before"),
        }
        runs = await self.web.source.runs(**wanted, limit=HISTORY)
        older = None
        if len(runs) == HISTORY:
            asked = {**wanted, "before": runs[-1].id}
            older = urlencode({name: v for name, v in asked.items() if v is not None})
        values = {"runs": runs, "wanted": wanted, "older": older, "states": _STATES}
        return await self.page(request, "history.html", "History", status, **values)

    async def _log(self, request: Request, run: RunView) -> dict[str, object]:
        grep = request.query_params.get("grep", "").strip()[:200]
        is_whole = request.query_params.get("all") == "1"
        most = WHOLE_LOG_BYTES if is_whole else LOG_BYTES
        found: dict[str, object] = {"grep": grep, "left_out": 0, "after": 0}
        if grep:
            text = await self.web.source.raw("runs", str(run.id), "log", grep=grep)
            found["left_out"] = max(0, len(text) - most)
            text = text[-most:]
        else:
            text, total = await self.web.source.newest_log(run.id, most)
            left_out = total - len(text)
            if left_out:  # begin with a whole line
                cut = text.find(b"\n") + 1
                text, left_out = text[cut:], left_out + cut
            if not run.is_final:  # what is not a whole line yet comes as it grows
                end = text.rfind(b"\n") + 1
                text, total = text[:end], total - (len(text) - end)
            found["left_out"], found["after"] = left_out, total
        lines = text.decode(errors="replace").removesuffix("\n")
        from supervisor.web.ansi import AnsiLines  # and rich: only a log needs it

        found["log"] = AnsiLines().html(lines) if lines else ""
        return found

    async def _facts(self, job: str, at: str, times: Times) -> tuple[str, ...]:
        """Return the explanation of a job at a time that a person typed, or now."""
        moment = None
        if at:
            try:
                typed = datetime.fromisoformat(at)
            except ValueError:
                return (f'"{at[:40]}" is no time: expected one such as 2026-02-09T02:00.',)
            moment = (typed if typed.tzinfo else typed.replace(tzinfo=times.zone)).isoformat()
        try:
            return (
                await self.web.source.get(responses.Explained, "jobs", job, "explain", at=moment)
            ).facts
        except AnswerError as error:
            return (error.text,)


def _waiting_for(status: Status, run: int) -> list[RunView]:
    """Return the open runs whose cause names this run."""
    return [each for each in status.runs if f" run {run} " in f" {each.cause} "]
