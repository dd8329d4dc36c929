"""docs/web.md: each command must succeed."""

import shutil

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.doc_pages import blocks, typed


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_page_is_served_as_the_handbook_types_it():
    (block,) = blocks("docs/web.md", "sh")
    with Sandbox("jobs: {hello: {command: echo hi}}") as sandbox, supervised(sandbox):
        printed = typed(sandbox, [block])

    assert "Jobs – nightshift" in printed
