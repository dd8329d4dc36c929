"""Sign-in and permissions: all other requests are refused before they reach the API."""

import signal
import socket

import pytest

from tests.acceptance.daemon import Sandbox
from tests.waiting import until
from tests.web.visitor import Visitor, page

PAGES = (
    "/",
    "/calendar.ics",
    "/jobs/health",
    "/jobs/load/run",
    "/runs/1",
    "/events",
    "/runs/1/log",
    "/config",
)


@pytest.fixture(scope="module")
def outsiders(sandbox: Sandbox):
    """Return the URL of a page whose token has not been used."""
    with page(sandbox) as url:
        yield url


@pytest.mark.parametrize("path", [*PAGES, "/?token=", "/?token=wrong"])
def test_without_the_token_nothing_is_shown(outsiders, path):
    answer = Visitor(outsiders).get(path)

    assert answer.status == 401
    assert "health" not in answer.text.replace("/jobs/health", "")


def test_the_token_works_once(sandbox):
    with page(sandbox) as url:
        first, second = Visitor(url), Visitor(url)

        assert first.get(f"/?{first.token}").status == 303
        assert first.get("/").status == 200
        assert second.get(f"/?{second.token}").status == 401
        assert "token" not in first.get("/").text


def test_the_cookie_is_for_this_page_only(sandbox):
    with page(sandbox, "--base", "/x") as url:
        answer = Visitor(url).get(f"/?{Visitor(url).token}")

    said = answer.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert "path=/x/" in said


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_a_form_of_another_site_changes_nothing(visitor, sandbox, headers):
    answer = visitor.post("/jobs/health/pause", {}, **headers)

    assert answer.status == 403
    assert not sandbox.json("show", "health")["status"]["is_paused"]


@pytest.mark.parametrize("csrf", ["", "x", "00.00"])
def test_a_form_without_the_token_of_its_session_changes_nothing(visitor, sandbox, csrf):
    answer = visitor.post("/jobs/health/pause", {"csrf": csrf})

    assert answer.status == 403
    assert not sandbox.json("show", "health")["status"]["is_paused"]


def test_a_foreign_host_is_refused_even_with_a_cookie(visitor):
    assert visitor.get("/", Host="evil.example").status == 403


def test_a_button_changes_nothing_when_it_is_not_allowed(sandbox):
    with page(sandbox, "--allow", "run") as url:
        visitor = Visitor(url).sign_in()

        assert "Pause" not in visitor.get("/").text
        assert visitor.post("/jobs/health/pause", {}).status == 403
        assert not sandbox.json("show", "health")["status"]["is_paused"]


def test_a_read_only_page_has_no_buttons(sandbox):
    with page(sandbox, "--read-only") as url:
        visitor = Visitor(url).sign_in()

        assert "formaction" not in visitor.get("/").text
        for path in ("/jobs/health/run", "/pause", "/reload", "/incidents/1/ack", "/verify"):
            assert visitor.post(path, {}).status == 403
        assert visitor.get("/jobs/load/run").status == 403
        assert visitor.post("/jobs/load/run", {"with-parameters": "1"}).status == 403


def test_a_person_signs_in_with_a_password_and_is_named(sandbox, tmp_path):
    people = tmp_path / "people"
    people.write_text("anna:open sesame\n")
    people.chmod(0o600)
    options = (
        "--listen",
        "127.0.0.1:0",
        "--password-file",
        str(people),
        "--allow",
        "pause,resume",
    )
    with page(sandbox, *options) as url:
        visitor = Visitor(url)
        first = visitor.get("/")
        assert (first.status, 'type="password"' in first.text) == (401, True)
        wrong = visitor.post("/login", {"name": "anna", "password": "open"})
        assert (wrong.status, visitor.cookies) == (401, {})
        right = visitor.post("/login", {"name": "anna", "password": "open sesame"})
        assert right.status == 303

        assert visitor.post("/jobs/old-export/pause", {}).status == 303
        newest = sandbox.json("history", "--actions", "-n", "1")["actions"][0]
        assert (newest["peer"]["user"], newest["verb"]) == ("anna", "pause")
        assert visitor.post("/jobs/old-export/resume", {}).status == 303
        assert visitor.post("/login?out=1", {}).status == 303
        assert 'type="password"' in visitor.get("/").text


def test_passwords_are_not_tried_without_end(sandbox, tmp_path):
    people = tmp_path / "people"
    people.write_text("anna:open sesame\n")
    people.chmod(0o600)
    with page(sandbox, "--listen", "127.0.0.1:0", "--password-file", str(people)) as url:
        visitor = Visitor(url)
        tried = [
            visitor.post("/login", {"name": "anna", "password": str(n)}).status for n in range(12)
        ]

        assert tried[:10] == [401] * 10
        assert tried[10:] == [429] * 2
        assert visitor.post("/login", {"name": "anna", "password": "open sesame"}).status == 429


def test_a_proxy_names_the_person(sandbox):
    options = ("--listen", "127.0.0.1:0", "--auth-header", "Remote-User")
    with page(sandbox, *options, "--trusted-proxy", "127.0.0.0/8", "--allow", "run") as url:
        visitor = Visitor(url)
        assert visitor.get("/").status == 401
        assert visitor.get("/", Remote_User="J%C3%B6rg").status == 303
        assert "Jörg" in visitor.get("/", Remote_User="J%C3%B6rg").text
        assert visitor.get("/", Remote_User="mallory").status != 200
        assert visitor.get("/").status == 401


def test_only_a_trusted_proxy_may_name_a_user(sandbox):
    options = ("--listen", "127.0.0.1:0", "--auth-header", "Remote-User")
    with page(sandbox, *options, "--trusted-proxy", "10.0.0.0/8") as url:
        assert Visitor(url).get("/", Remote_User="anna").status == 401


def test_a_proxy_is_known_by_its_connection_and_not_by_a_header(sandbox):
    options = ("--listen", "127.0.0.1:0", "--auth-header", "Remote-User")
    with page(sandbox, *options, "--trusted-proxy", "10.0.0.0/8") as url:
        assert Visitor(url).get("/", Remote_User="anna", X_Forwarded_For="10.1.1.1").status == 401
    with page(sandbox, *options, "--trusted-proxy", "127.0.0.0/8") as url:
        assert Visitor(url).get("/", Remote_User="anna", X_Forwarded_For="1.2.3.4").status == 303


def test_invalid_requests_do_not_fill_the_log(sandbox):
    log = sandbox.root / "invalid.log"
    with open(log, "w") as file:
        process = sandbox.begin("web", "--port", "0", stderr=file)
        assert process.stdout
        visitor = Visitor(process.stdout.readline().strip())
        with socket.create_connection(visitor.address) as connection:
            connection.sendall(b"no http at all\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
        process.terminate()
        process.communicate()

    assert "nvalid" not in log.read_text()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--listen", "127.0.0.1:0"), "--password-file"),
        (("--listen", "127.0.0.1:0", "--auth-header", "Remote-User"), "--trusted-proxy"),
        (("--password-file", "x"), "--listen"),
        (("--allow", "fly"), "fly"),
        (("--allow", "run", "--read-only"), "one of"),
        (("--listen", "nowhere", "--password-file", "x"), "HOST:PORT"),
        (("--port", "0", "--base", "/a b"), "--base"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(sandbox, words, part):
    status, said = sandbox.refuses("web", *words)

    assert status == 2
    assert part in said


def test_without_a_supervisor_it_says_so():
    with Sandbox() as sandbox:
        assert sandbox.refuses("web", "--port", "0")[0] == 3


def test_it_ends_with_the_terminal(sandbox):
    with open(sandbox.root / "hup.log", "w") as log:
        process = sandbox.begin("web", "--port", "0", stderr=log)
        assert process.stdout
        Visitor(process.stdout.readline().strip()).get("/")  # it answers requests
        process.send_signal(signal.SIGHUP)

        until(lambda: process.poll() is not None)
        process.stdout.close()
        assert process.returncode == 0
