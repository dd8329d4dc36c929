"""`nightshift web`: serve the page, as a client of the supervisor's socket."""

import contextlib
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from supervisor.cli.command import Number, command, service
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import echo
from workers.units import is_whole

if TYPE_CHECKING:
    from supervisor.web.settings import Access, WebSettings

DEFAULT_PORT = 8470
_VERBS = "run, cancel, pause, resume, ack, reload, notify, verify"


@command("web")
@click.option("--port", type=Number(0, 65535), help=f"Port on 127.0.0.1 ({DEFAULT_PORT}).")
@click.option("--listen", metavar="HOST:PORT", help="Listen there; needs a way to sign in.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Who may sign in: NAME:PASSWORD lines, mode 0600.",
)
@click.option("--auth-header", metavar="NAME", help="A proxy names the person in this header.")
@click.option(
    "--trusted-proxy", multiple=True, metavar="CIDR", help="Where that proxy is; repeatable."
)
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="A name of this page.")
@click.option("--base", default="", metavar="/PATH", help="The path of this page behind a proxy.")
@click.option("--read-only", is_flag=True, help="No buttons.")
@click.option("--allow", metavar="VERBS", help=f"Only these buttons, of {_VERBS}.")
def web(
    port: int | None,
    listen: str | None,
    password_file: Path | None,
    auth_header: str | None,
    trusted_proxy: tuple[str, ...],
    hosts: tuple[str, ...],
    base: str,
    read_only: bool,
    allow: str | None,
) -> int:
    """Serve a page to look at, on 127.0.0.1, until Ctrl-C; it prints its address.

    The address works once, in the browser that opens it first. With --listen people sign
    in, and there are no buttons but those of --allow. See docs/web.md.

    \b
    Examples:
      nightshift web
      nightshift web --listen 0.0.0.0:8470 --password-file /etc/nightshift/people --allow run,ack
    """
    try:
        from supervisor.web import server
        from supervisor.web.app import application
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("jinja2"):
            raise
        text = "the page needs more than the service does: jinja2 is missing"
        hint = 'pip install "nightshift-cron[web]"'
        raise CliError(ExitCode.USAGE, text, hint) from error
    client = service()
    if listen is None:
        client.supervisor_pid()  # raises if none answers; a service may come up in any order
    address = _address(port, listen, password_file is not None or auth_header is not None)
    access = _access(password_file, auth_header, trusted_proxy)
    allowed = _allowed(allow, read_only, is_open=listen is not None)
    try:
        listening = server.bind(*address)
    except OSError as error:
        text = f"listen on {address[0]}:{address[1]}: {error.strerror or error}"
        raise CliError(ExitCode.NO, text, "--port takes another port") from error
    bound = listening.getsockname()[1]
    settings = _settings((address[0], bound), access, base, hosts, allowed)
    _announce(settings)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve(application(settings, client), listening)
    return ExitCode.YES


def _address(port: int | None, listen: str | None, has_access: bool) -> tuple[str, int]:
    """Return host and port. Raises: UsageError."""
    if listen is None:
        if has_access:
            raise click.UsageError("--password-file and --auth-header go with --listen")
        return "127.0.0.1", DEFAULT_PORT if port is None else port
    if port is not None:
        raise click.UsageError("--port goes without --listen, which has a port of its own")
    if not has_access:
        raise click.UsageError(
            "--listen needs --password-file, or --auth-header with --trusted-proxy: "
            "what it shows is for people who signed in"
        )
    host, colon, number = listen.rpartition(":")
    if not colon or not is_whole(number) or len(number) > 5 or int(number) > 65535:
        raise click.UsageError(f'--listen: expected HOST:PORT, got "{listen}"')
    return host.strip("[]") or "0.0.0.0", int(number)


def _access(
    password_file: Path | None, auth_header: str | None, trusted_proxy: tuple[str, ...]
) -> "Access":
    """Return how people come in. Raises: UsageError, CliError."""
    from supervisor.web import passwords
    from supervisor.web.settings import HeaderAccess, TokenAccess, networks

    if password_file is not None and auth_header is not None:
        raise click.UsageError("expected one of --password-file and --auth-header")
    if bool(auth_header) != bool(trusted_proxy):
        raise click.UsageError("--auth-header and --trusted-proxy go together")
    if auth_header is not None:
        try:
            return HeaderAccess(auth_header.lower(), networks(trusted_proxy))
        except ValueError as error:
            raise click.BadParameter(f"--trusted-proxy: {error}") from error
    if password_file is not None:
        try:
            return passwords.read(password_file)
        except passwords.PasswordFileError as error:
            raise CliError(ExitCode.USAGE, str(error)) from error
    return TokenAccess(secrets.token_urlsafe(24))


def _allowed(allow: str | None, read_only: bool, is_open: bool) -> frozenset[str]:
    """Return the verbs of the buttons. Raises: UsageError."""
    from supervisor.web.settings import VERBS

    if read_only and allow is not None:
        raise click.UsageError("expected one of --read-only and --allow")
    if read_only or (is_open and allow is None):
        return frozenset()
    if allow is None:
        return frozenset(VERBS)
    asked = frozenset(filter(None, map(str.strip, allow.split(","))))
    if unknown := sorted(asked - set(VERBS)):
        raise click.UsageError(f'--allow: expected some of {_VERBS}, got "{unknown[0]}"')
    return asked


def _settings(
    address: tuple[str, int],
    access: "Access",
    base: str,
    hosts: tuple[str, ...],
    allowed: frozenset[str],
) -> "WebSettings":
    from supervisor.web.settings import WebSettings, base_path

    try:
        path = base_path(base)
    except ValueError as error:
        raise click.UsageError(f"--base: {error}") from error
    names = frozenset(name.strip().lower() for name in hosts)
    return WebSettings(*address, access, path, names, allowed)


def _announce(settings: "WebSettings") -> None:
    from supervisor.web.settings import TokenAccess

    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}{settings.base}/"
    if isinstance(settings.access, TokenAccess):
        url += f"?token={settings.access.token}"
    buttons = ", ".join(sorted(settings.allowed)) or "none: it is read-only"
    echo(url)
    echo(f"buttons: {buttons}; Ctrl-C ends it")
    sys.stdout.flush()
