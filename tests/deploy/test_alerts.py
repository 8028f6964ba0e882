"""Tests the alerts with promtool on recorded series, and the metric names of rules and dashboard."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT


def callback(outcome: str) -> str:
    return f'portico_logins_total{{slot="oidc/provider1",step="callback",outcome="{outcome}"}}'


# For each alert: series that raise it, similar series that do not, and the evaluation time.
CASES = {
    "PorticoProviderDown": (
        {'portico_provider_up{slot="oidc/provider1"}': "0x20"},
        {'portico_provider_up{slot="oidc/provider1"}': "0 0 0 1 0 0 0 1x20"},
        "10m",
    ),
    "PorticoCredentialsInvalid": (
        {'portico_idp_credentials_valid{slot="oidc/provider1"}': "1 1 0x20"},
        {'portico_idp_credentials_valid{slot="oidc/provider1"}': "1x20"},
        "10m",
    ),
    "PorticoLoginsFailing": (
        {
            callback("idp_token_invalid"): "0+4x40",
            callback("ok"): "0+1x40",
            callback("login_state_invalid"): "0+99x40",
        },
        {
            callback("login_not_allowed"): "0+4x40",
            callback("idp_token_invalid"): "0+1x40",
            callback("ok"): "0+4x40",
            callback("login_state_invalid"): "0+99x40",
        },
        "30m",
    ),
    "PorticoLoginsLost": (
        {
            callback("login_state_invalid"): "0+4x40",
            callback("ok"): "0+1x40",
        },
        {
            callback("login_state_invalid"): "0+1x40",
            callback("ok"): "0+4x40",
        },
        "30m",
    ),
    "PorticoLoginsUnfinished": (
        {
            'portico_logins_total{slot="oidc/provider1",step="start",outcome="ok"}': "0+2x60",
            callback("ok"): "7x60",
        },
        {
            'portico_logins_total{slot="oidc/provider1",step="start",outcome="ok"}': "0+2x60",
            callback("ok"): "0+0.2x60",
        },
        "40m",
    ),
    "PorticoStoreFailing": (
        {'portico_store_errors_total{operation="settle"}': "0+1x40"},
        {'portico_store_errors_total{operation="settle"}': "7x40"},
        "20m",
    ),
    "PorticoServerErrors": (
        {
            'portico_http_requests_total{route="/auth/session",method="GET",status="503"}': "0+10x40",
            'portico_http_requests_total{route="/auth/session",method="GET",status="200"}': "0+90x40",
        },
        {
            'portico_http_requests_total{route="/auth/session",method="GET",status="503"}': "0+1x40",
            'portico_http_requests_total{route="/auth/session",method="GET",status="200"}': "0+99x40",
        },
        "30m",
    ),
    "PorticoClockSkew": (
        {'portico_clock_skew_seconds{slot="oidc/google"}': "-45x40"},
        {'portico_clock_skew_seconds{slot="oidc/google"}': "-5x40"},
        "20m",
    ),
    "PorticoReloadRefused": (
        {'portico_settings_refused{pod="a"}': "0 0 0 1x80", 'portico_settings_refused{pod="b"}': "0x80"},
        {'portico_settings_refused{pod="a"}': "0 0 0 1 0x80", 'portico_settings_refused{pod="b"}': "0x80"},
        "60m",
    ),
    "PorticoAbsent": ({"up": "1x40"}, {'portico_build_info{version="0.1.0"}': "1x40"}, "10m"),
}


@pytest.fixture(scope="session")
def rules(render) -> list[dict]:
    (rule,) = [document for document in render("everything") if document["kind"] == "PrometheusRule"]
    (group,) = rule["spec"]["groups"]
    return group["rules"]


def promtool(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], cwd=directory, capture_output=True, text=True, timeout=60)


def fires(directory: Path, rules: list[dict], alert: str, series: dict[str, str], at: str) -> bool:
    """Returns whether this alert fires on these series, with one sample per minute."""
    (directory / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "portico", "rules": rules}]}))
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    expected = {"eval_time": at, "alertname": alert, "exp_alerts": []}
    test = {"interval": "1m", "input_series": inputs, "alert_rule_test": [expected]}
    (directory / "test.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]})
    )
    done = promtool(directory, "test", "rules", "test.yaml")
    said = done.stdout + done.stderr
    assert done.returncode == 0 or "got:" in said, said
    return done.returncode != 0


def test_prometheus_accepts_the_rules(rules: list[dict], tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "portico", "rules": rules}]}))
    done = promtool(tmp_path, "check", "rules", "rules.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {rule["alert"] for rule in rules} == set(CASES)


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_when_it_should_and_not_otherwise(
    rules: list[dict], tmp_path: Path, alert: str
) -> None:
    bad, good, at = CASES[alert]
    assert fires(tmp_path, rules, alert, bad, at)
    assert not fires(tmp_path, rules, alert, good, at)


def test_each_alert_has_its_page(rules: list[dict]) -> None:
    runbook = (ROOT / "docs/runbook.md").read_text()
    headings = {heading.strip().lower() for heading in re.findall(r"^## (.+)$", runbook, re.M)}
    for rule in rules:
        anchor = rule["annotations"]["runbook_url"].rsplit("#", 1)[1]
        assert anchor == rule["alert"].lower() and anchor in headings, rule["alert"]


def test_every_metric_exists(rules: list[dict]) -> None:
    source = (ROOT / "crates/portico/src/telemetry.rs").read_text()
    known = set(re.findall(r'!\(\s*"(portico_\w+)"', source))
    dashboard = json.loads((ROOT / "charts/portico/files/dashboard.json").read_text())
    texts = [rule["expr"] for rule in rules] + [
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    ]
    named = {name.removesuffix("_bucket") for text in texts for name in re.findall(r"portico_\w+", text)}
    assert named <= known, named - known
    documented = (ROOT / "docs/operating.md").read_text()
    assert all(f"`{name}`" in documented for name in known)
