"""Dashboards and alerts ask for what the daemon tells, in words that Prometheus takes, and say what to do."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chargerd.runtime.metrics.families import FAMILIES, PROCESS, Kind

DOCS = Path(__file__).parents[2] / "docs"
PROMETHEUS = DOCS / "monitoring" / "prometheus"
DASHBOARDS = sorted((DOCS / "monitoring" / "grafana").glob("*.json"))
OF_PROMETHEUS = {"job", "instance"}
"""Labels that the scrape adds."""
ASKED = re.compile(r"\b((?:chargerd|process)_\w+|up)\b(?:\{([^}]*)\})?")


def labels_of() -> Mapping[str, frozenset[str]]:
    """Return what each series that is exported is labelled by."""
    told: dict[str, frozenset[str]] = {"up": frozenset(), **dict.fromkeys(PROCESS, frozenset[str]())}
    for family in FAMILIES:
        more = {"le"} if family.kind is Kind.HISTOGRAM else set[str]()
        told.update({name: frozenset({*family.labels, *more}) for name in family.series})
    return told


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def alerts() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = read(PROMETHEUS / "chargerd-alerts.yaml")["groups"][0]["rules"]
    return rules


def panels(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Return where something is asked, and what."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for path in DASHBOARDS:
        document = json.loads(path.read_text(encoding="utf-8"))
        for panel in document["panels"]:
            for target in panel.get("targets", ()):
                yield f"{path.name}: {panel['title']}", target["expr"]
        for variable in document["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{path.name}: ${variable['name']}", variable["definition"]


def wrong(expression: str, told: Mapping[str, frozenset[str]]) -> list[str]:
    """Return what an expression asks for that is not told."""
    found = []
    for name, selector in ASKED.findall(expression):
        asked = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", selector))
        if name not in told:
            found.append(f"there is no {name}")
        elif asked - told[name] - OF_PROMETHEUS:
            found.append(f"{name} has no label {asked - told[name] - OF_PROMETHEUS}")
    return found


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)


def test_whatever_is_asked_for_is_told() -> None:
    told = labels_of()
    asked = list(expressions())
    assert len(asked) > 80
    assert [(where, each) for where, what in asked for each in wrong(what, told)] == []


@pytest.mark.parametrize(
    "expression",
    ["chargerd_no_such_thing", 'chargerd_port_power_watts{board="r"}', "rate(process_cpu_seconds[1m])"],
)
def test_what_is_not_told_would_be_found(expression: str) -> None:
    assert wrong(expression, labels_of())


def test_prometheus_takes_the_examples_and_the_alerts() -> None:
    for words in (("config", PROMETHEUS / "prometheus.yaml"), ("config", "--agent", PROMETHEUS / "agent.yaml")):
        judged = promtool("check", *words)
        assert judged.returncode == 0, judged.stdout + judged.stderr


def test_prometheus_takes_what_the_panels_ask(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": what.replace("$instance", "i").replace("$port", ".*")}
        for number, (_, what) in enumerate(expressions())
        if not what.startswith("label_values")
    ]
    (tmp_path / "panels.json").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    judged = promtool("check", "rules", tmp_path / "panels.json")
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    judged = promtool("test", "rules", PROMETHEUS / "chargerd-alerts-test.yaml")
    assert judged.returncode == 0, judged.stdout + judged.stderr
    tried = (PROMETHEUS / "chargerd-alerts-test.yaml").read_text(encoding="utf-8")
    assert [rule["alert"] for rule in alerts() if f'alertname="{rule["alert"]}"' not in tried] == []


def test_each_alert_says_what_to_do() -> None:
    manual = (DOCS / "monitoring.md").read_text(encoding="utf-8")
    for rule in alerts():
        assert f"### {rule['alert']}\n" in manual, f"describe it in monitoring.md: {rule['alert']}"
        assert rule["annotations"]["runbook"] == f"monitoring.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning"}
    described = re.findall(r"^### (Chargerd\w+)$", manual, re.MULTILINE)
    assert described == [rule["alert"] for rule in alerts()], "in the order of the alerts"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_laid_out_without_holes_in_its_wiring(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["uid"] == path.stem
    assert document["templating"]["list"][0]["name"] == "datasource"
    numbers = [panel["id"] for panel in document["panels"]]
    assert len(numbers) == len(set(numbers))
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_the_dashboards_lead_to_each_other() -> None:
    known = {json.loads(path.read_text(encoding="utf-8"))["uid"] for path in DASHBOARDS}
    text = "".join(path.read_text(encoding="utf-8") for path in DASHBOARDS)
    assert set(re.findall(r'"/d/([\w-]+)', text)) == known


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_what_a_table_merges_has_no_columns_that_differ(path: Path) -> None:
    """Rows become one where they agree in all they share, so a metric's own name and its job must be gone."""
    for panel in panels(path):
        if panel["type"] == "table":
            asked = [target["expr"] for target in panel["targets"]]
            assert [one for one in asked if re.match(r"(max|sum|count) by \(", one) is None] == []
            kept = [set(re.split(r",\s*", one.partition("(")[2].partition(")")[0])) for one in asked]
            assert set.intersection(*kept) in ({"instance"}, {"port"})
