"""The Helm chart: accepted by helm and by Kubernetes' own schemas, and its variables by Portico itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

CHART = str(ROOT / "charts/portico")
SIX = str(Path(__file__).parent / "six-slots.yaml")
LEAST = ("--set", "publicUrl=https://app.example.org", "--set", "secretKey.existingSecret=s", "--set", "storage.existingSecret=d")


def test_helm_finds_nothing_to_say_even_when_strict(helm) -> None:
    for values in ([], ["-f", SIX], list(LEAST)):
        done = helm("lint", "--strict", CHART, *values)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_packs(helm, tmp_path: Path) -> None:
    done = helm("package", CHART, "-d", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["portico-0.1.0.tgz"]


def test_kubernetes_knows_every_field(rendered: list[dict], tmp_path: Path) -> None:
    assert {document["kind"] for document in rendered} == {"Deployment", "Service", "ServiceAccount", "Ingress"}
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(rendered))
    validate = Path(sys.executable).parent / "kubernetes-validate"
    done = subprocess.run([validate, "--strict", "-k", "1.35", file], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pod_is_restricted(rendered: list[dict]) -> None:
    pod = next(d for d in rendered if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["enableServiceLinks"] is False and pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz"), ("startupProbe", "/livez")):
        assert container[probe]["httpGet"] == {"path": path, "port": "admin"}
    assert ports == {"http": 8080, "admin": 9090}


def test_the_operator_listener_is_not_published(rendered: list[dict]) -> None:
    service = next(d for d in rendered if d["kind"] == "Service")
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    (rule,) = next(d for d in rendered if d["kind"] == "Ingress")["spec"]["rules"]
    assert rule["host"] == "app.example.org"
    assert [path["path"] for path in rule["http"]["paths"]] == [
        "/portal/auth", "/portal/.well-known/jwks.json", "/portal/.well-known/openid-configuration",
    ]


def test_every_slot_keeps_the_operators_order_and_values(environment: dict[str, str]) -> None:
    assert environment["PORTICO_SECURITY_OIDC_PROVIDERS"] == "provider2,provider1,google"
    assert environment["PORTICO_SECURITY_OAUTH2_PROVIDERS"] == "google,provider1,provider2"
    assert environment["PORTICO_OIDC_PROVIDER1_DISPLAY_LABEL"] == "Acme: staff & friends"
    assert environment["PORTICO_OIDC_PROVIDER1_CLOCK_SKEW"] == "30"
    assert environment["PORTICO_OIDC_PROVIDER2_PKCE_ENABLED"] == "true"
    assert environment["PORTICO_SECURITY_SSO_ACCOUNT_NAME_FALLBACK"] == "false"
    assert "PORTICO_OIDC_PROVIDER2_CLIENT_SECRET" not in environment, "a public client"
    assert "" not in environment.values()


def test_portico_accepts_the_rendered_environment(environment: dict[str, str], tmp_path: Path) -> None:
    binary = os.environ.get("PORTICO_TEST_BINARY") or str(ROOT / "target/debug/portico")
    done = subprocess.run([binary, "config", "--json"], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert "canary" not in done.stdout
    # The twin: a variable that no setting reads is refused.
    wrong = {**environment, "PORTICO_OIDC_PROVIDER1_CLIENT_IDD": "x"}
    assert subprocess.run([binary, "config"], env=wrong, cwd=tmp_path, capture_output=True, timeout=60).returncode == 78


@pytest.mark.parametrize(("wrong", "told"), [
    (["publicUrl=http://app.example.org"], "publicUrl"),
    (["oidc.enabled={provider3}"], "enabled"),
    (["oidc.enabled={provider1}"], "oidc.provider1.clientId is required"),
    (["oidc.enabled={provider1}", "oidc.provider1.clientId=x"], "oidc.provider1.discoveryUrl is required"),
    (["oauth2.enabled={provider2}", "oauth2.provider2.clientId=x"], "oauth2.provider2.authorizationUrl is required"),
    (["oidc.enabled={google}", "oidc.google.clientId=x"], "oidc.google.clientSecret.existingSecret is required"),
    (["oidc.provider1.icon=Google"], "icon"),
    (["settings.STORAGE_URL=x"], "STORAGE_URL"),
    (["replica=2"], "replica"),
])
def test_wrong_values_are_refused_by_name(helm, wrong: list[str], told: str) -> None:
    extra = [part for value in wrong for part in ("--set", value)]
    done = helm("template", "demo", CHART, *LEAST, *extra)
    assert done.returncode != 0
    assert told in done.stderr


def test_the_chart_and_the_binary_are_of_one_version() -> None:
    chart = yaml.safe_load((ROOT / "charts/portico/Chart.yaml").read_text())
    manifest = (ROOT / "Cargo.toml").read_text()
    assert f'version = "{chart["appVersion"]}"' in manifest
