"""axe-core checks every page in light, dark and on a phone: no serious finding."""

from pathlib import Path

import pytest

from tests.web.test_browser import LOOKS, PAGES, tab

AXE = Path(__file__).parents[2] / "var" / "axe.min.js"
pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not AXE.exists(), reason="axe-core is not there: scripts/fetch-axe fetches it"
    ),
]
_RUN = """async () => {
    const found = await axe.run(document, {resultTypes: ["violations"]});
    const bad = found.violations.map(each => [
        each.impact, each.id, each.nodes.slice(0, 3).map(node => node.html.slice(0, 200))
    ]);
    return [found.passes.length, bad];
}"""


def test_nothing_serious_is_found(chromium, url, visitor):
    # The page's policy forbids foreign scripts, and axe is one.
    with tab(chromium, url, visitor.cookies, bypass_csp=True) as seen:
        found = {}
        for path in PAGES:
            seen.open(path)
            seen.page.evaluate(AXE.read_text())
            for scheme, width in LOOKS:
                seen.look(scheme, width)
                passed, violations = seen.page.evaluate(_RUN)
                assert passed > 10, "axe has not checked the page"
                if bad := [each for each in violations if each[0] in ("serious", "critical")]:
                    found[path, scheme] = bad
        assert found == {}
