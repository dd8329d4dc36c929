"""Templates of the jobs.yaml that `init` writes. Pure functions."""

import json

from supervisor.config.channel_keys import kind_of_url

_HEAD = """\
# yaml-language-server: $schema={schema}
# What Nightshift runs here, and when.
#
#   nightshift check               every mistake, or when the jobs will run
#   nightshift run --all --local   all of them once, now, without a supervisor
#   nightshift start               the supervisor; it reads this file again when it changes
#   nightshift schema              JSON Schema of this file, for an editor

# timezone: Europe/Berlin    # of all cron expressions; otherwise $TZ or the machine's
defaults: {{timeout: 5m}}
"""

_JOBS = """
jobs:
"""

# Two example commands; the first one shows a run within a minute of a start.
COMMANDS = """\
  hello:
    description: Says hello each minute; make it rarer when you have seen it
    command: ["/bin/echo", "hello from Nightshift"]    # a list is executed as it is
    cron: "* * * * *"

  disk-space:
    description: How full the disk is, each morning of a working day
    command: df -h .                                   # a text goes through /bin/sh
    cron: "30 6 * * mon-fri"
    deps: [hello]                                      # it runs if hello succeeded last
    retries: 2
    retry_delay: 30s
"""

_COMMAND = """\
  {name}:
    command: {command}
    cron: {schedule}
"""

_BACKUP = """\
  backup-database:
    description: A verified copy of the database
    worker: backup.run
    cron: {schedule}
    retries: 2
    retry_delay: 30s
    exclusive: true
    with:
      database: {database}
      directory: {directory}
"""

_NOTIFY = """
notify:
  channels:
    alerts: {{{kind}: {url}}}    # docs/alerts.md has several, and quiet hours
"""


def head(schema: str) -> str:
    """Return the text before everything; schema: URI of the JSON Schema, for editors."""
    return _HEAD.format(schema=schema)


def jobs(*parts: str) -> str:
    """Return the block of jobs that these parts describe."""
    return _JOBS + "\n".join(parts)


def command(name: str, text: str, schedule: str) -> str:
    """Return a job that runs one command of the shell; `${` in its text is the shell's."""
    shown = json.dumps(text, ensure_ascii=False)
    return _COMMAND.format(name=_quoted(name), command=shown, schedule=_quoted(schedule))


def backup(database: str, directory: str, schedule: str) -> str:
    """Return a job that backs up one SQLite database."""
    return _BACKUP.format(
        database=_quoted(database), directory=_quoted(directory), schedule=_quoted(schedule)
    )


def notify(url: str) -> str:
    """Return the block that sends alerts to one channel; its URL says of which kind."""
    return _NOTIFY.format(kind=kind_of_url(url), url=_quoted(url))


def _quoted(text: str) -> str:
    """Quote a text for jobs.yaml as a JSON string, with `${` escaped as `$${`."""
    return json.dumps(text.replace("${", "$${"), ensure_ascii=False)
