"""Templates of the jobs.yaml that `init` writes. Pure functions."""

import json

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

jobs:
"""

# Two example commands.
COMMANDS = """\
  hello:
    description: Says hello each hour
    command: ["/bin/echo", "hello from Nightshift"]    # a list is executed as it is
    cron: "0 * * * *"

  disk-space:
    description: How full the disk is, each morning of a working day
    command: df -h .                                   # a text goes through /bin/sh
    cron: "30 6 * * mon-fri"
    deps: [hello]                                      # it runs if hello succeeded last
    retries: 2
    retry_delay: 30s
"""

_BACKUP = """\
  backup-database:
    description: A verified copy each night
    worker: backup.run
    cron: "0 0 * * *"
    retries: 2
    retry_delay: 30s
    exclusive: true
    with:
      database: {database}
      directory: {directory}
"""


def head(schema: str) -> str:
    """Return the text before the jobs; schema: URI of the JSON Schema, for editors."""
    return _HEAD.format(schema=schema)


def backup(database: str, directory: str) -> str:
    """Return a job that backs up one SQLite database."""
    return _BACKUP.format(database=_quoted(database), directory=_quoted(directory))


def _quoted(text: str) -> str:
    """Quote a text for jobs.yaml as a JSON string, with `${` escaped as `$${`."""
    return json.dumps(text.replace("${", "$${"), ensure_ascii=False)
