"""axe-core looks at every page, in light, in dark and on a phone: nothing serious."""

from pathlib import Path

import pytest

from tests.web.test_browser import PAGES, tab

AXE = Path(__file__).parents[2] / "var" / "axe.min.js"
pytestmark = pytest.mark.timeout(400)
_RUN = """async () => {
    const found = await axe.run(document, {resultTypes: ["violations"]});
    const bad = found.violations.map(each => [
        each.impact, each.id, each.nodes.slice(0, 3).map(node => node.html.slice(0, 200))
    ]);
    return [found.passes.length, bad];
}"""


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)], ids=str)
def test_nothing_serious_is_found(chromium, url, visitor, scheme, width):
    if not AXE.exists():
        pytest.skip("axe-core is not there: scripts/fetch-axe fetches it")
    size = {"width": width, "height": 800}
    # The page's policy forbids foreign scripts, which axe is.
    options = {"viewport": size, "color_scheme": scheme, "bypass_csp": True}
    with tab(chromium, url, visitor.cookies, **options) as seen:
        found = {}
        for path in PAGES:
            seen.open(path)
            seen.page.evaluate(AXE.read_text())
            passed, violations = seen.page.evaluate(_RUN)
            assert passed > 10, "axe has looked at the page"
            if bad := [each for each in violations if each[0] in ("serious", "critical")]:
                found[path] = bad
        assert found == {}
