"""A key of jobs.yaml as a value: its name, kind, default and description.

`key_table.py` and `channel_keys.py` list all of them.
"""

from enum import StrEnum

from msgspec import Struct


class ValueKind(StrEnum):
    """How the text of a key is read; the value describes what is expected there."""

    TEXT = "text"
    BOOL = "true or false"
    COUNT = "a whole number"
    NUMBER = "a number"
    DURATION = 'a duration such as "5m"'
    SIZE = 'a size such as "64KiB" or "2GB"'
    MODE = 'an octal mode such as "0600"'
    CHOICE = "one of"
    GROUP = "true, false or the name of a group"
    URL = "a URL that begins with http:// or https://"
    SERVER_URL = "a URL of a server"
    SERVICE_URL = 'a URL such as "ntfys://host/topic"'
    SECRET = "a text that is shown nowhere"
    SIGNING_KEY = 'base64 of 24 to 64 bytes, such as "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"'
    MAIL_ADDRESSES = 'a mail address such as "ops@example.org", or a list of them'
    MAIL_ADDRESS = 'a mail address such as "ops@example.org"'
    HOURS = 'hours of the day such as "22:00-07:00"'
    ZONE = 'the IANA name of a time zone such as "Europe/Berlin"'
    PATH = "a path"
    ADDRESS = 'an address such as "127.0.0.1:9187"'
    WORKER = '"module.function" of a built-in worker, or "package.module:function" of your own'
    CRON = 'a cron expression such as "0 2 * * *", or a list of them'
    COMMAND = "a command: a list, or a line for the shell"
    NAMES = "a list of names of jobs"
    STATUSES = "an exit status from 0 to 255, or a list of them"
    ENV = "a mapping of names to texts"
    PARAMS = "a mapping of the worker's parameters"
    BLOCK = "a mapping"
    GROUPS = "a list of names of groups"
    LABELS = 'labels of hosts such as "db" or "zone:a": a list, or a text with commas'
    CHANNELS = "a mapping of names to channels"
    JOB = "a mapping of keys of a job"
    JOBS = "a mapping of names to jobs"


class Key(Struct, frozen=True):
    """One key: its name, its kind, its default.

    default: as written in the file; "" if there is none, or if `doc` describes it.
    field: the name of the model's field, if different.
    required: whether its mapping must have it.
    none: whether `none` may be written to mean that there is no value.
    choices: the texts of a CHOICE, the schemes of a SERVER_URL.
    keys: the keys of a BLOCK.
    """

    name: str
    kind: ValueKind
    default: str
    doc: str
    field: str = ""
    examples: tuple[str, ...] = ()
    required: bool = False
    none: bool = False
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    keys: tuple["Key", ...] = ()
