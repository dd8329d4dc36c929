"""The page on which a worker is run with other parameters, made from its `Params`."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from supervisor.core import responses
from supervisor.core.config_model import Problem
from supervisor.web.buttons import Buttons, on_host
from supervisor.web.frame import PageAnswers, Web
from supervisor.web.gate import form_of, session_of
from supervisor.web.source import AnswerError, decoded
from supervisor.web.views import parameters
from supervisor.web.views.hosts import fitting
from supervisor.web.worker_reader import WorkerReader


class RunForm(PageAnswers):
    """Handlers of the form; each raises AnswerError."""

    def __init__(self, web: Web, buttons: Buttons) -> None:
        super().__init__(web)
        self._buttons = buttons
        self._workers = WorkerReader()

    async def get_form(self, request: Request) -> Response:
        """Show the fields of the worker, with the values of jobs.yaml."""
        self._require_run()
        return await self._shown(request, await self._job(request), {}, {}, 200)

    async def post_run(self, request: Request) -> Response:
        """Run with what was typed; or show the form again, with what is wrong."""
        form = form_of(request)
        if not form.get("with-parameters"):
            return await self._buttons.post_job(request)
        self._require_run()
        job = await self._job(request)
        known = await self._workers.description(job)
        try:
            given = parameters.changed(parameters.fields(job.with_, known.fields), form)
        except parameters.FieldError as error:
            also = await self._workers.errors(job, error.found)
            return await self._shown(request, job, form, {**also, **error.errors}, 422)
        if errors := await self._workers.errors(job, given):
            return await self._shown(request, job, form, errors, 422)
        body: dict[str, object] = {"set": given, "dry_run": bool(form.get("dry_run"))}
        body["with_deps"] = bool(form.get("with_deps"))
        body |= on_host(form)
        try:
            user = session_of(request).user
            answer = await self.web.source.post(user, "jobs", job.name, "run", **body)
        except AnswerError as error:
            said = ". ".join(filter(None, (error.text, error.hint)))
            return await self._shown(request, job, form, {"": said}, 409)
        opened = decoded(answer, responses.Opened).run.id
        session_of(request).said.append(("good", f"Run {opened} of {job.name} was opened."))
        return RedirectResponse(f"{self.web.settings.base}/runs/{opened}", 303)

    async def _shown(
        self,
        request: Request,
        job: responses.JobDetail,
        form: Mapping[str, str],
        errors: Mapping[str, str],
        code: int,
    ) -> Response:
        known = await self._workers.description(job)
        fields = parameters.fields(job.with_, known.fields)
        status = await self.web.source.status()
        values = {
            "job": job,
            "hosts": fitting(status.hosts, job.runs_on),
            "fields": parameters.typed(fields, form) if form else fields,
            "form": form,
            "errors": errors,
            "other_errors": _elsewhere(errors, [each.name for each in fields]),
            "takes_any": known.fields is None,
            "unread": "" if known.is_known else _why(known.problems),
        }
        answer = await self.page(request, "run_form.html", f"Run {job.name}", status, **values)
        answer.status_code = code
        return answer

    async def _job(self, request: Request) -> responses.JobDetail:
        name = request.path_params["job"]
        job = await self.web.source.get(responses.JobDetail, "jobs", name, env=1)
        if job.worker is None:
            text = f"{name} is a command and has no parameters"
            raise AnswerError(text, "its page has the button to run it", is_unknown=True)
        return job

    def _require_run(self) -> None:
        if "run" not in self.web.settings.allowed:
            raise AnswerError(
                "run is not allowed on this page", "nightshift web --allow", is_refused=True
            )


def _elsewhere(errors: Mapping[str, str], names: list[str]) -> list[str]:
    """Return the errors that stand beside no field."""
    return [
        f"{name}: {text}" if name and name != "with" else text
        for name, text in errors.items()
        if name not in names
    ]


def _why(problems: tuple[Problem, ...]) -> str:
    return "; ".join(problem.message for problem in problems) or "it gave no answer"
