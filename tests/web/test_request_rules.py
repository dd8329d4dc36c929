"""Rules on request headers: the addressed host, and the origin of the page."""

import pytest
from starlette.datastructures import Headers

from supervisor.web.request_rules import is_ours, why_refused
from supervisor.web.settings import HeaderAccess, base_path, networks

HERE = "127.0.0.1:8470"


@pytest.mark.parametrize(
    ("host", "listening", "hosts", "is_right"),
    [
        (HERE, "127.0.0.1", (), True),
        ("localhost:8470", "127.0.0.1", (), True),
        ("[::1]:8470", "127.0.0.1", (), True),
        ("evil.example:8470", "127.0.0.1", (), False),
        ("127.0.0.1.evil.example", "127.0.0.1", (), False),
        ("", "127.0.0.1", (), True),
        ("night.example", "127.0.0.1", ("night.example",), True),
        ("NIGHT.example:443", "127.0.0.1", ("night.example",), True),
        ("10.1.2.3:8470", "0.0.0.0", (), True),
        ("evil.example", "0.0.0.0", (), False),
        ("10.1.2.3:8470", "10.1.2.3", (), True),
        ("10.1.2.4:8470", "10.1.2.3", (), False),
        ("[fe80::1]:8470", "::", (), True),
    ],
)
def test_a_request_is_for_a_name_of_the_page(host, listening, hosts, is_right):
    assert is_ours(host, listening, hosts) is is_right


def refused(method="POST", **headers):
    given = {"host": HERE} | {name.replace("_", "-"): value for name, value in headers.items()}
    return why_refused(method, Headers(given), "127.0.0.1", frozenset(("night.example",)))


def test_a_form_of_the_page_itself_passes():
    assert refused(origin=f"http://{HERE}", sec_fetch_site="same-origin") == ""
    assert refused() == ""


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://[127.0.0.1"},
        {"origin": f"file://{HERE}"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"host": "evil.example"},
    ],
    ids=str,
)
def test_a_form_of_another_site_is_refused(headers):
    assert refused(**headers)


def test_behind_a_proxy_the_origin_is_the_public_name():
    assert refused(host="night.example", origin="https://night.example") == ""
    assert refused(origin="https://night.example") == ""
    assert refused(host="night.example", origin="https://evil.example")


def test_a_link_from_elsewhere_may_be_followed():
    assert refused("GET", sec_fetch_site="cross-site", origin="http://evil.example") == ""


def test_two_host_headers_are_refused():
    headers = Headers(raw=[(b"host", HERE.encode()), (b"host", b"evil.example")])

    assert why_refused("GET", headers, "127.0.0.1", ())


@pytest.mark.parametrize(
    ("text", "path"), [("", ""), ("/", ""), ("/x", "/x"), ("x/", "/x"), ("/a/b-c", "/a/b-c")]
)
def test_a_base_path_is_one_path(text, path):
    assert base_path(text) == path


@pytest.mark.parametrize("text", ["/a b", "/a//b", "/é", "/..", "/x/./y", '/"x"', "/../x\n"])
def test_a_base_path_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="expected a path"):
        base_path(text)


@pytest.mark.parametrize(
    ("peer", "is_trusted"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("10.2.0.1", False),
        ("", False),
        ("x", False),
    ],
)
def test_a_proxy_is_known_by_its_network(peer, is_trusted):
    access = HeaderAccess("remote-user", networks(("10.1.0.0/16",)))

    assert access.is_trusted(peer) is is_trusted
