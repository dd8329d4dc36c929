"""contrib/grafana/nightshift.json: made by its script, and naming only what /metrics has."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from supervisor.api import metrics
from supervisor.core import counters as tallies
from supervisor.core.counters import Counters
from supervisor.core.model import MissedRange
from tests.edge.test_api_metrics import busy_service, final, seen

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "contrib" / "grafana" / "nightshift.json"
# Prometheus adds the one, a histogram's buckets have the other.
ALWAYS = {"instance", "le"}


def panels():
    dashboard = json.loads(SHIPPED.read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions():
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def labels_by_name():
    """Every sample name of a scrape -> its labels, as a parser reads them."""
    harness = busy_service()
    missed = [MissedRange("odd", harness.wall, harness.wall, 1, "away")]
    tally = tallies.count(Counters(), [final()], missed, harness.scheduler)
    snapshot = seen(harness, tallies.tick(tally, 0.02))
    pieces, _ = metrics.pieces(snapshot, "")
    found: dict[str, set[str]] = {}
    for family in parse(b"".join(pieces).decode()):
        found.setdefault(family.name, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def named(expression):
    """The metrics of an expression, each with the labels of its selector."""
    for name, selector in re.findall(r"(nightshift_\w+)(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))


def test_the_shipped_dashboard_is_what_the_script_makes():
    script = ROOT / "scripts" / "grafana-dashboard"

    made = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)

    assert SHIPPED.read_text() == made.stdout, f"scripts/grafana-dashboard > {SHIPPED}"


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_names_only_metrics_and_labels_that_there_are(expression):
    there = labels_by_name()
    grouped = {
        label.strip()
        for group in re.findall(r"\bby \(([^)]*)\)", expression)
        for label in group.split(",")
    }

    asked = dict(named(expression))
    assert asked.keys() - there.keys() == set()
    for name, labels in asked.items():
        # A family without samples here, such as the age of a replica, has the label job.
        has = there[name] or {"job"}
        assert labels | grouped <= has | ALWAYS


def test_a_legend_and_a_variable_show_only_labels_that_there_are():
    there = labels_by_name()

    for panel in panels():
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            has = {label for name, _ in named(target["expr"]) for label in there[name]}
            assert shown <= has | {"job"} | ALWAYS, panel["title"]
    variables = json.loads(SHIPPED.read_text())["templating"]["list"]
    for name, label in re.findall(r"label_values\((\w+), (\w+)\)", json.dumps(variables)):
        assert label in there[name] | ALWAYS


def test_each_panel_takes_the_chosen_source_says_what_it_shows_and_lies_beside_the_others():
    taken: set[tuple[int, int]] = set()

    for panel in panels():
        place = panel["gridPos"]
        area = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        sources = [panel["datasource"], *(each["datasource"] for each in panel["targets"])]
        assert panel["description"].endswith("."), panel["title"]
        assert {source["uid"] for source in sources} == {"${datasource}"}
        assert max(x for x, _ in area) < 24
        assert not area & taken, panel["title"]
        taken |= area


def test_every_metric_of_a_scrape_is_on_the_dashboard():
    shown = {name for text in expressions() for name, _ in named(text)}
    parts = ("", "_total", "_bucket", "_sum", "_count")
    shown_families = {name.removesuffix(part) for name in shown for part in parts}
    harness = busy_service()

    families = {family.name for family in metrics.families(seen(harness))}

    assert families - shown_families == {
        # The version, and the start, which last_tick follows; the list of instances uses one.
        *("nightshift", "nightshift_start_time_seconds"),
    }


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool here")
def test_prometheus_itself_reads_the_expressions(tmp_path):
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$(__rate_interval|window)", "5m", text)}
        for number, text in enumerate(expressions())
    ]
    file = tmp_path / "rules.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
