"""The page of a cluster, beside real hosts: which there are, and a run on one that is chosen."""

import json
import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.cluster.hosts import TIMES, Host, cluster
from tests.cluster.test_cluster import status
from tests.waiting import until
from tests.web.test_browser import tab
from tests.web.visitor import Visitor, page

JOBS = f"""
cluster: {{postgres: "${{DSN}}", host: "${{HOST}}", labels: "${{NIGHTSHIFT_LABELS}}", {TIMES}}}
max_concurrent: 2
jobs:
  hello: {{command: 'echo hello'}}
  slow: {{command: [sleep, '600'], kill_grace: 1s}}
  needs-db: {{command: 'true', runs_on: [db]}}
  asked: {{worker: "own:asked", with: {{word: hi}}}}
"""
OWN = """
def asked(params, report):
    report.log(params["word"])
"""
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def hosts(postgres_server: str) -> Iterator[dict[str, Host]]:
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute("CREATE DATABASE cluster_page TEMPLATE template0")
    dsn = postgres_server.replace("dbname=postgres", "dbname=cluster_page")
    with cluster(dsn, JOBS, "abc", {"b": "db"}, {"own.py": OWN}) as hosts:
        yield hosts


@pytest.fixture(scope="module")
def visitor(hosts: dict[str, Host]) -> Iterator[Visitor]:
    """Yield a visitor of the page on the host b."""
    with page(hosts["b"].sandbox) as url:
        yield Visitor(url).sign_in()


def newest(host: Host, job: str) -> dict:
    found: dict = json.loads(host.ask("history", job, "-n", "1", "--json").stdout)["runs"][0]
    return found


def has_ended(host: Host, job: str) -> bool:
    return newest(host, job)["state"] == "success"


def test_the_api_of_each_host_lists_the_hosts(hosts):
    for host in hosts.values():
        found = status(host)["hosts"]

        assert [(each["name"], each["places"]) for each in found] == [("a", 2), ("b", 2), ("c", 2)]
        assert sum(each["leads"] for each in found) == 1
        assert found[1]["labels"] == ["db", "host:b"]


def test_a_run_is_begun_on_the_host_that_was_chosen(hosts, visitor, chromium):
    url = f"http://{visitor.address[0]}:{visitor.address[1]}/"
    with tab(chromium, url, visitor.cookies) as seen:
        seen.open("jobs/hello")
        seen.page.select_option("[name=on_host]", "c")
        seen.page.locator("button", has_text="Run now").click()
        seen.see("of hello was opened")
        until(lambda: has_ended(hosts["a"], "hello"), within_s=40)
        run = newest(hosts["a"], "hello")
        assert (run["on_host"], run["cause"]) == ("c", "on c")

        seen.open(f"runs/{run['id']}")
        seen.see("asked for on")
        assert "hello" in seen.page.locator("#log").inner_text()

        seen.open("jobs/asked/run")
        seen.page.select_option("[name=on_host]", "a")
        seen.page.fill("[name='set.word']", "typed")
        seen.page.locator("button", has_text="Run with these").click()
        seen.see("of asked was opened")
        until(lambda: has_ended(hosts["b"], "asked"), within_s=40)
        assert newest(hosts["b"], "asked")["cause"] == "on a"
        assert seen.complaints == []


def test_only_hosts_with_the_labels_of_the_job_are_offered(visitor):
    text = visitor.get("/jobs/needs-db").text

    assert '<option value="b">' in text
    assert '<option value="a">' not in text


def test_a_host_that_is_not_there_is_refused_in_words(visitor):
    said = visitor.post("/jobs/hello/run", {"on_host": "zzz"})

    assert said.status == 303
    assert "no host is called &#34;zzz&#34;" in visitor.get("/").text


def test_a_run_is_shown_with_the_host_that_runs_it(hosts, visitor):
    hosts["a"].ask("run", "slow")

    until(lambda: any(each["runs"] for each in status(hosts["a"])["hosts"]), within_s=40)
    (host,) = [each for each in status(hosts["c"])["hosts"] if each["runs"]]
    (run,) = host["runs"]

    until(lambda: f">slow {run}</a>" in visitor.get("/hosts").text)
    row = re.search(rf"<tr><th[^>]*>{host['name']}.*?</tr>", visitor.get("/hosts").text, re.S)
    assert row
    assert f">slow {run}</a>" in row[0]
    assert f"<dt>host</dt><dd>{host['name']}</dd>" in visitor.get(f"/runs/{run}").text
    assert f"run {run}</a> on {host['name']}" in visitor.get("/jobs/slow").text
    assert hosts["b"].ask("cancel", "slow").returncode == 0
    until(lambda: newest(hosts["b"], "slow")["state"] == "cancelled", within_s=40)


def test_the_loss_of_a_host_shows_by_itself(hosts, visitor, chromium):
    url = f"http://{visitor.address[0]}:{visitor.address[1]}/"
    leader = next(each["name"] for each in status(hosts["b"])["hosts"] if each["leads"])
    lost = next(name for name in "ca" if name != leader)
    with tab(chromium, url, visitor.cookies) as seen:
        seen.open("")
        seen.page.locator("nav a", has_text="Hosts").click()
        assert seen.page.locator("tbody tr .s-alive:not(svg)").count() == 3
        hosts[lost].kill()

        seen.page.wait_for_selector(f"tr:has(th:has-text('{lost}')) .s-lost:not(svg)")
        for scheme, width in (("light", 1280), ("dark", 390)):
            seen.look(scheme, width)
            wide = seen.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width
        assert seen.complaints == []
