"""Validates the Helm chart with helm, the Kubernetes schemas, and Portico itself."""

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
CASES = ("six-slots", "everything", "sqlite", "dev")
# Kinds that are not in the Kubernetes schemas.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "HTTPRoute"}
LEAST = (
    "--set",
    "publicUrl=https://app.example.org",
    "--set",
    "secretKey.existingSecret=s",
    "--set",
    "storage.existingSecret=d",
)


def test_helm_finds_nothing_to_say_even_when_strict(helm) -> None:
    files = [["-f", str(Path(__file__).parent / f"{name}.yaml")] for name in CASES]
    for values in (*files, list(LEAST)):
        done = helm("lint", "--strict", CHART, *values)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_packs(helm, tmp_path: Path) -> None:
    done = helm("package", CHART, "-d", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["portico-0.1.0.tgz"]


MATRIX = [
    ("six-slots", ()),
    ("everything", ()),
    ("sqlite", ()),
    ("dev", ()),
    ("six-slots", ("--set", "autoscaling.enabled=true", "--set", "service.type=LoadBalancer")),
    ("sqlite", ("--set", "storage.sqlite.existingClaim=mine", "--set", "networkPolicy.enabled=true")),
    (
        "everything",
        (
            "--set",
            "metrics.alerts.enabled=false",
            "--set",
            "httpRoute.enabled=false",
            "--set",
            "storage.migrationJob=false",
        ),
    ),
    (
        "six-slots",
        (
            "--set",
            "image.pullSecrets={a,b}",
            "--set",
            "podDisruptionBudget.enabled=true",
            "--set",
            "podDisruptionBudget.minAvailable=50%",
        ),
    ),
]


@pytest.mark.parametrize("version", ["1.33", "1.34", "1.35"])
def test_kubernetes_knows_every_field(render, tmp_path: Path, version: str) -> None:
    file = tmp_path / "rendered.yaml"
    documents = [
        document
        for values, more in MATRIX
        for document in render(values, *more)
        if document["kind"] not in FOREIGN
    ]
    file.write_text(yaml.safe_dump_all(documents))
    validate = Path(sys.executable).parent / "kubernetes-validate"
    done = subprocess.run(
        [validate, "--strict", "-k", version, file], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_switched_on_is_there_and_nothing_else(render) -> None:
    kinds = {case: {document["kind"] for document in render(case)} for case in CASES}
    always = {"Deployment", "Service", "ServiceAccount", "Pod"}
    assert kinds["six-slots"] == always | {"Ingress"}
    assert kinds["sqlite"] == always | {"PersistentVolumeClaim"}
    assert kinds["dev"] == always | {"Secret"}
    assert kinds["everything"] == always | FOREIGN | {
        "Job", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "ConfigMap",
    }


@pytest.mark.parametrize("case", ["six-slots", "everything"])
def test_the_main_cases_are_as_they_were(render, case: str) -> None:
    """After an intended change, run PORTICO_WRITE_GOLDEN=1 tests/run --only deploy and review the diff."""
    golden = Path(__file__).parent / "golden" / f"{case}.yaml"
    text = yaml.safe_dump_all(render(case), sort_keys=True, width=160)
    if os.environ.get("PORTICO_WRITE_GOLDEN"):
        golden.write_text(text)
    assert golden.read_text() == text


def test_no_secret_stands_in_the_deployment(render) -> None:
    for case in CASES:
        pod = next(d for d in render(case) if d["kind"] == "Deployment")["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert all("valueFrom" not in variable for variable in container["env"])
        assert not {"demo-secret", "6f1d9c0b7a83e2455c6e80d3b19fa4721e0c5d8b3f6a97e4d2b1c0f8a7e6d5c4"} & {
            v["value"] for v in container["env"]
        }


def test_with_sqlite_there_is_one_replica(render, helm) -> None:
    deployment = next(d for d in render("sqlite") if d["kind"] == "Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    sqlite = str(Path(__file__).parent / "sqlite.yaml")
    for wrong in (
        "replicas=2",
        "autoscaling.enabled=true",
        "storage.migrationJob=true",
        "storage.existingSecret=x",
    ):
        assert helm("template", "demo", CHART, "-f", sqlite, "--set", wrong).returncode != 0, wrong


def test_every_setting_can_be_reached(helm) -> None:
    """Each global and per-slot setting has its own value, a secret, or an entry in `settings`."""
    page = (ROOT / "docs/configuration.md").read_text()
    table = page.split("<!-- begin: global settings -->")[1].split("<!-- end")[0]
    names = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert len(names) > 25
    own = {
        "PUBLIC_URL", "SERVER_LISTEN", "SERVER_ADMIN_LISTEN", "STORAGE_URL", "SECURITY_SECRET_KEY",
        "SECURITY_OIDC_PROVIDERS",
        "SECURITY_OAUTH2_PROVIDERS", "SECURITY_SECRET_KEY_PREVIOUS",
    }
    free = [name for name in names if name not in own]
    sets = [part for name in free for part in ("--set-string", f"settings.{name}=x")]
    done = helm("template", "demo", CHART, *LEAST, *sets)
    assert done.returncode == 0, done.stderr
    assert all(f"- name: PORTICO_{name}" in done.stdout for name in free)
    for name in own:
        assert (
            helm("template", "demo", CHART, *LEAST, "--set-string", f"settings.{name}=x").returncode != 0
        ), f"{name} has its own value"


@pytest.mark.parametrize(("protocol", "own"), [
    ("oidc", {"discovery_url"}), ("oauth2", {"authorization_url", "token_url", "userinfo_url"}),
])
def test_every_setting_of_a_slot_is_known_and_no_other(protocol: str, own: set[str]) -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    table = page.split("<!-- begin: slot settings -->")[1].split("<!-- end")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    names = {name.strip(" `") for name, slots in rows if slots.strip() in ("all", "google", protocol)}
    own = own | {"client_id", "client_secret", "client_secret_next", "client_key", "display_label", "icon"}
    schema = json.loads((ROOT / "charts/portico/values.schema.json").read_text())
    known = schema["$defs"][f"{protocol}Slot"]["properties"]["settings"]["propertyNames"]["enum"]
    assert len(names) > 30 and set(known) == names - own


def test_certificates_and_traces_have_their_places(render) -> None:
    documents = render("everything")
    pods = [d["spec"]["template"]["spec"] for d in documents if d["kind"] in ("Deployment", "Job")]
    pods += [d["spec"] for d in documents if d["kind"] == "Pod"]
    assert len(pods) == 3
    for pod in pods:
        (container,) = pod["containers"]
        assert {"name": "certificate-authorities", "configMap": {"name": "company-ca"}} in pod["volumes"]
        assert {
            "name": "certificate-authorities",
            "mountPath": "/etc/portico-ca",
            "readOnly": True,
        } in container["volumeMounts"]
        assert {
            "name": "OTEL_EXPORTER_OTLP_ENDPOINT",
            "value": "http://collector.observability:4318",
        } in container["env"]


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
    for probe, path in (
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
        ("startupProbe", "/livez"),
    ):
        assert container[probe]["httpGet"] == {"path": path, "port": "admin"}
    assert ports == {"http": 8080, "admin": 9090}


def test_the_operator_listener_is_not_published(rendered: list[dict]) -> None:
    (service,) = [d for d in rendered if d["kind"] == "Service"]
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
    assert "PORTICO_OIDC_PROVIDER2_CLIENT_SECRET_FILE" not in environment, "a public client"
    assert "" not in environment.values()


def test_portico_accepts_the_rendered_environment(environment: dict[str, str], tmp_path: Path) -> None:
    binary = os.environ.get("PORTICO_TEST_BINARY") or str(ROOT / "target/debug/portico")
    done = subprocess.run(
        [binary, "config", "--json"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert "canary" not in done.stdout
    # Counter-check: Portico refuses a variable that no setting reads.
    wrong = {**environment, "PORTICO_OIDC_PROVIDER1_CLIENT_IDD": "x"}
    assert (
        subprocess.run(
            [binary, "config"], env=wrong, cwd=tmp_path, capture_output=True, timeout=60
        ).returncode
        == 78
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["publicUrl=http://app.example.org"], "publicUrl"),
        (["oidc.enabled={provider3}"], "enabled"),
        (["oidc.enabled={provider1}"], "oidc.provider1.clientId is required"),
        (
            ["oidc.enabled={provider1}", "oidc.provider1.clientId=x"],
            "oidc.provider1.discoveryUrl is required",
        ),
        (
            ["oauth2.enabled={provider2}", "oauth2.provider2.clientId=x"],
            "oauth2.provider2.authorizationUrl is required",
        ),
        (
            ["oidc.enabled={google}", "oidc.google.clientId=x"],
            "oidc.google.clientSecret.existingSecret is required",
        ),
        (["oidc.provider1.icon=Google"], "icon"),
        (["publicUrl=https://app.example.org/"], "publicUrl"),
        (["publicUrl=https://app.example.org/portal/"], "publicUrl"),
        (["settings.STORAGE_URL=x"], "STORAGE_URL"),
        (["settings.SECURITY_SECRET_KEY_PREVIOUS=x"], "SECURITY_SECRET_KEY_PREVIOUS"),
        (["settings.SERVER_TRUSTED_PROXY=10.0.0.0/8"], "SERVER_TRUSTED_PROXY"),
        (["oidc.provider1.settings.allowed_group=staff"], "allowed_group"),
        (["oidc.provider1.settings.client_secret=x"], "client_secret"),
        (["replica=2"], "replica"),
        (["secretKey.value=x"], "/secretKey/value"),
        (["oidc.provider1.clientSecret.value=x"], "/oidc/provider1/clientSecret/value"),
        (["storage.url=postgres://x/y"], "/storage/url"),
        (["secretKey.existingSecret="], "secretKey.existingSecret is required"),
        (["storage.existingSecret="], "storage.existingSecret is required"),
        (
            ["storage.migrationJob=true", "settings.STORAGE_AUTO_MIGRATE=true"],
            "settings.STORAGE_AUTO_MIGRATE",
        ),
        (["traces.endpoint=http://user:hush@collector:4318"], "/traces/endpoint"),
        (["oidc.provider1.discoveryUrl=https://user@idp.example.org"], "discoveryUrl"),
        (["httpRoute.enabled=true"], "httpRoute.parentRefs is required"),
    ],
)
def test_wrong_values_are_refused_by_name(helm, wrong: list[str], told: str) -> None:
    extra = [part for value in wrong for part in ("--set", value)]
    done = helm("template", "demo", CHART, *LEAST, *extra)
    assert done.returncode != 0
    assert told in done.stderr


def test_the_chart_and_the_binary_are_of_one_version() -> None:
    chart = yaml.safe_load((ROOT / "charts/portico/Chart.yaml").read_text())
    manifest = (ROOT / "Cargo.toml").read_text()
    assert f'version = "{chart["appVersion"]}"' in manifest
