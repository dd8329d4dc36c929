"""Detects whether a crontab is a user's own or a system one with a user column.

Pure. Judges by the path, then by the sixth word of every line. If these are
inconclusive, the result names the doubtful line and the user must decide: read in the
wrong way, `www-data` would become a program, or a program would be taken for a user.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

from supervisor.config.crontab.parse import USER_AND_COMMAND, job_lines
from supervisor.config.crontab.shell_text import set_of

# Accounts that packages of common distributions create for daemons, and those of images.
ACCOUNTS = set_of(
    """
    root daemon bin sys adm www-data www wwwrun apache apache2 httpd http nginx nobody postgres
    mysql mariadb mail backup git gitlab gitlab-runner gitea gogs jenkins redis list news uucp
    proxy man lp games irc gnats sync operator ftp munin nagios icinga zabbix netdata logcheck
    smmsp amavis clamav debian-spamd spamd postfix mailman mailnull vmail dovecot exim
    Debian-exim opendkim opendmarc named bind squid tomcat tomcat7 tomcat8 tomcat9 tomcat10
    elasticsearch logstash kibana rabbitmq mongodb mongod couchdb cassandra hadoop hdfs yarn
    solr minio prometheus grafana influxdb graphite _graphite carbon puppet chef salt ansible
    vagrant ubuntu debian centos fedora rocky almalinux ec2-user admin deploy asterisk
    freeswitch openvpn sogo nextcloud owncloud discourse zammad redmine gerrit sonarqube nexus
    postgrey haproxy varnish memcached memcache ntp chrony _chrony systemd-timesync messagebus
    avahi polkitd sshd cups syslog statd rpc rpcuser dbus tss unbound ceph glance nova neutron
    keystone cinder heat swift oracle zookeeper kafka mosquitto homeassistant pi plex
    debian-transmission awx telegraf caddy traefik vault consul nomad etcd vdr cacti phpmyadmin
    roundcube sympa librenms observium snmp freerad slurm munge stunnel4 tor debian-tor _apt
    whoopsie landscape rslsync syncthing pcp sa-update cyrus imap majordomo apt-mirror mirror
    nsd knot powerdns pdns
    """
)
# Programs with the same name as an account above.
PROGRAMS = set_of(
    """
    mail sync git man lp news at mysql nginx named squid puppet salt vagrant ansible redis tor
    consul nomad vault caddy traefik etcd chef exim postfix dovecot telegraf minio varnish
    logstash kibana prometheus zabbix munin ftp bind knot pcp mongod haproxy gitea backup deploy
    mirror apt-mirror syncthing sa-update apache2 httpd openvpn asterisk hdfs yarn
    """
)
# Programs that take a path as argument, whether installed on this machine or not.
_INTERPRETERS = re.compile(
    r"(python|php|perl|ruby|node|bash|sh|dash|zsh|ksh|java|lua|Rscript|pypy|deno|bun|dotnet|go)"
    r"[0-9.]*"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?")
_SURE_COMMAND = re.compile(r"[/.$\[(~\"'!{:]|(cd|test|if|sh|bash|env|nice|ionice|flock)\b")


class Kind(StrEnum):
    """The kind of a crontab, or that it is unclear."""

    USER = "user"
    SYSTEM = "system"
    UNCLEAR = "unclear"


class _Word(StrEnum):
    """What the sixth word of a line can be."""

    ACCOUNT = "account"
    BOTH = "account or program"
    PLAIN = "a word that may be either, before a path"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A kind, and the line that makes it unclear (0 if none)."""

    kind: Kind
    line: int = 0
    word: str = ""


def kind_of_path(path: str) -> Kind:
    """Return the kind implied by the path; UNCLEAR if it implies none."""
    parts = PurePath(path).parts
    if parts[-2:] == ("etc", "crontab") or parts[-3:-1] == ("etc", "cron.d"):
        return Kind.SYSTEM
    return Kind.USER if owner_of_path(path) else Kind.UNCLEAR


def owner_of_path(path: str) -> str:
    """Return the user that owns a crontab in cron's spool; "" for any other file."""
    parts = PurePath(path).parts
    in_debian = parts[-4:-1] == ("spool", "cron", "crontabs") or parts[-3:-1] == (
        "cron",
        "crontabs",
    )
    in_cronie = parts[-3:-1] == ("spool", "cron") and parts[-1] != "crontabs"
    return parts[-1] if in_debian or in_cronie else ""


def kind_of_text(
    text: str, users: Collection[str], is_program: Callable[[str], bool]
) -> Judgement:
    """Return the kind implied by the sixth words.

    users, is_program: accounts and programs of this machine.
    """
    words = [(line, *_judged(rest, users, is_program)) for line, rest in job_lines(text)]
    kinds = {kind for _, kind, _ in words}
    if kinds and kinds <= {_Word.ACCOUNT, _Word.BOTH} and _Word.ACCOUNT in kinds:
        return Judgement(Kind.SYSTEM)
    if not kinds or (_Word.ACCOUNT not in kinds and _Word.PROGRAM in kinds):
        return Judgement(Kind.USER)
    doubtful = next((each for each in words if each[1] is not _Word.ACCOUNT), words[0])
    return Judgement(Kind.UNCLEAR, doubtful[0], doubtful[2])


def names_user(text: str, user: str) -> bool:
    """Return whether any line has this user in the user column of a system crontab."""
    found = (USER_AND_COMMAND.fullmatch(rest) for _, rest in job_lines(text))
    return any(each is not None and each[1] == user for each in found)


def _judged(
    rest: str, users: Collection[str], is_program: Callable[[str], bool]
) -> tuple[_Word, str]:
    found = USER_AND_COMMAND.fullmatch(rest)
    word = found[1] if found else rest
    is_name = found is not None and _NAME.fullmatch(word) is not None
    if found is None or not is_name or found[2].startswith("-"):
        return _Word.PROGRAM, word
    is_before_command = _SURE_COMMAND.match(found[2]) is not None
    if word in ACCOUNTS or word in users:
        is_both = word in PROGRAMS and not is_before_command
        return (_Word.BOTH if is_both else _Word.ACCOUNT), word
    is_known = _INTERPRETERS.fullmatch(word) is not None or is_program(word)
    return (_Word.PLAIN if is_before_command and not is_known else _Word.PROGRAM), word
