"""The rendered environment of the main case starts the binary, and a login succeeds."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import httpx
from conftest import MADE_UP, environment_of
from release import ALICE, BINARY, OIDC, OidcProvider, Published, free_port, log_in


def ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{address}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise AssertionError(log.read_text())


def run(env: dict[str, str], directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BINARY, *words], env=env, cwd=directory, capture_output=True, text=True, timeout=60
    )


@contextmanager
def serving(
    env: dict[str, str], admin: str, directory: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Runs `portico serve` and yields the process and its log when it is ready."""
    log = directory / "portico.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [BINARY, "serve"], env=env, cwd=directory, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        )
    try:
        ready(admin, process, log)
        yield process, log
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_somebody_logs_in_with_the_rendered_environment(render, tmp_path: Path) -> None:
    provider = OidcProvider(Published(), tmp_path)
    try:
        provider.put(ALICE)
        slot = f"oidc.provider1.discoveryUrl={provider.issuer},oidc.provider1.clientId=web"
        documents = render("everything", "--set", slot)
        secrets = {
            **MADE_UP, "storage": f"sqlite://{tmp_path}/portico.db",
            "oidc-provider1-secret": provider.secrets[OIDC],
            "secret-key-previous": os.urandom(32).hex(),
        }
        ports = free_port(), free_port()
        env = {
            **environment_of(documents, tmp_path / "mounted", secrets),
            "PORTICO_SERVER_LISTEN": f"127.0.0.1:{ports[0]}",
            "PORTICO_SERVER_ADMIN_LISTEN": f"127.0.0.1:{ports[1]}",
        }
        (job,) = [document for document in documents if document["kind"] == "Job"]
        (migrate,) = job["spec"]["template"]["spec"]["containers"]
        # Without the job the pods do not start, because they do not migrate.
        assert run(env, tmp_path, "serve").returncode == 69
        done = run(env, tmp_path, *migrate["args"])
        assert done.returncode == 0, done.stderr
        with serving(env, f"http://127.0.0.1:{ports[1]}", tmp_path) as (process, log):
            address = f"http://localhost:{ports[0]}"
            browser = log_in(address, provider)
            session = browser.request("GET", f"{address}/auth/session", {"Accept": "application/json"})
            assert session.response.json()["account"]["name"] == ALICE.name
            metrics = httpx.get(f"http://127.0.0.1:{ports[1]}/metrics", trust_env=False).text
            assert 'portico_logins_total{slot="oidc/provider1",step="callback",outcome="ok"} 1' in metrics
            # A changed Secret is in use without a restart.
            (tmp_path / "mounted/etc/portico/oidc-provider1-secret/value").write_text("no-longer-right\n")
            process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 10
            while "settings reloaded" not in log.read_text():
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            assert provider.secrets[OIDC] not in log.read_text() and "no-longer-right" not in log.read_text()
    finally:
        provider.stop()
