"""URLs of jobs.yaml: what no client could call is a mistake before anything runs."""

import pytest

from workers.backup.places.place import Place
from workers.health.params import Params as HealthParams
from workers.sync.params import Params as SyncParams
from workers.url_text import is_url

CALLABLE = (
    "http://h",
    "https://h:8443/x?y=z#w",
    "http://me:pass%20word@h/",
    "http://h:/",
    "http://a_b.internal.",
    "http://127.0.0.1:9000",
    "http://[::1]:9000",
    "https://münchen.example/",
    "HTTPS://Host/",
)
NOT_CALLABLE = (
    "",
    "h",
    "ftp://h",
    "http://",
    "http:///x",
    "http://:80",
    "http://me@",
    "http://h:²",
    "http://h:٣",
    "http://h:0",
    "http://h:65536",
    "http://h:-1",
    "http://h:x",
    "http://a b/",
    "http://a..b",
    "http://.a",
    "http://%41/",
    "http://h|x/",
    "http://h\\x/",
    f"http://{'a' * 64}/",
    f"http://{'a.' * 130}b/",
    "http://[::1",
    "http://[::1]x/",
    "http://[h]/",
    "http://::1/",
    "http://h\n/",
    "http://\u202eh/",
)


@pytest.mark.parametrize("text", CALLABLE)
def test_a_url_with_a_host_can_be_called(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize("text", NOT_CALLABLE)
def test_a_url_without_a_host_or_with_another_port_cannot_be_called(text: str) -> None:
    assert not is_url(text)


@pytest.mark.parametrize("text", ["http://h:²", "http://a..b", "ftp://h", "h"])
def test_each_url_of_a_worker_is_judged_by_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^endpoint: expected"):
        Place("s3://bucket/x", endpoint=text)
    with pytest.raises(ValueError, match=r"^http: expected"):
        HealthParams("x.db", http=(text,))


@pytest.mark.parametrize("text", ["http://h:²", "http://a..b", "https://:5/x"])
def test_the_url_of_a_catalogue_is_judged_by_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^catalogue: expected"):
        SyncParams(text, "x.db")


@pytest.mark.parametrize("rest", ["me:pass@h", "h/?y", "h#z"])
def test_an_endpoint_has_no_user_and_no_query(rest: str) -> None:
    with pytest.raises(ValueError, match=r"^endpoint: expected") as wrong:
        Place("s3://bucket/x", endpoint=f"http://{rest}")
    assert "pass" not in str(wrong.value)


def test_an_endpoint_may_have_a_path_and_a_place_an_ipv6_address() -> None:
    assert Place("s3://bucket/x", endpoint="https://h/storage/v1/s3").endpoint
    assert Place("sftp://h/the place [x]").path == "/the place [x]"
    assert Place("sftp://me@[::1]:2222/x").host == "::1"


@pytest.mark.parametrize("to", ["sftp://h:²/x", "sftp://h:0/x", "sftp://a..b/x", "sftp://a|b/x"])
def test_the_host_of_an_sftp_place_is_judged_by_it(to: str) -> None:
    with pytest.raises(ValueError, match=r"^to: expected"):
        Place(to)
