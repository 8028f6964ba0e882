"""The output for wrong settings, and of the configuration commands."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
from portico import Portico, run

KEY = secrets.token_hex(32)


def serve(env: dict[str, str], tmp_path: Path):
    return run("serve", env=env, cwd=tmp_path)


def test_every_mistake_is_told_at_once_and_no_secret_is(tmp_path: Path) -> None:
    canaries = {
        "PORTICO_SECURITY_SECRET_KEY": "canary-key",
        "PORTICO_OIDC_PROVIDER2_CLIENT_SECRET": "canary-client-secret",
    }
    done = serve({
        **canaries,
        "PORTICO_PUBLIC_URL": "ftp://login.example.org",
        "PORTICO_SECURITY_OIDC_PROVIDERS": "provider1,provider2",
        "PORTICO_SECURITY_SING_ALG": "ES256",
        "PORTICO_OIDC_PROVIDER2_CLIENT_ID": "portico",
        "PORTICO_OIDC_PROVIDER2_DISCOVERY_URL": "no address at all",
    }, tmp_path)

    assert done.returncode == 78, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    wrong = {
        "PORTICO_PUBLIC_URL", "PORTICO_SECURITY_SECRET_KEY", "PORTICO_SECURITY_SING_ALG",
        "PORTICO_OIDC_PROVIDER1_CLIENT_ID", "PORTICO_OIDC_PROVIDER1_DISCOVERY_URL",
        "PORTICO_OIDC_PROVIDER2_DISCOVERY_URL",
    }
    for variable in wrong:
        about = [line for line in lines if line.lstrip("-* ").startswith(variable)]
        assert len(about) == 1, f"{variable}: {done.stderr}"
    assert len(lines) == len(wrong), done.stderr
    typo = next(line for line in lines if "SING_ALG" in line)
    assert "PORTICO_SECURITY_SIGNING_ALG" in typo, "the message for a typo suggests the right name"
    everything = done.stdout + done.stderr
    assert "panicked" not in everything
    for secret in canaries.values():
        assert secret not in everything
    assert not list(tmp_path.glob("*.db*")), "wrong settings create no database"


@pytest.mark.parametrize(("variable", "value"), [
    ("PORTICO_SECURITY_OIDC_PROVIDERS", "PROVIDER1"),
    ("PORTICO_SECURITY_SECRET_KEY_FILE", "missing-file"),
    ("PORTICO_CONFIG", "missing.toml"),
    ("PORTICO_SECURITY_ACCESS_TOKEN_LIFETIME", "soon"),
    ("PORTICO_STORAGE_URL", "mysql://db/portico"),
    ("PORTICO_LOG_FORMAT", ""),
])
def test_one_wrong_value_is_one_line(tmp_path: Path, variable: str, value: str) -> None:
    env = {"PORTICO_PUBLIC_URL": "http://localhost:1", "PORTICO_SECURITY_SECRET_KEY": KEY}
    if variable.endswith("_FILE"):
        del env["PORTICO_SECURITY_SECRET_KEY"]
    done = serve({**env, variable: value}, tmp_path)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert (done.returncode, len(lines)) == (78, 1), done.stderr
    assert variable in lines[0]


def test_config_prints_what_holds_and_masks_secrets(tmp_path: Path) -> None:
    env = {
        "PORTICO_PUBLIC_URL": "https://login.example.org",
        "PORTICO_SECURITY_SECRET_KEY": KEY,
        "PORTICO_SECURITY_OIDC_PROVIDERS": "google",
        "PORTICO_OIDC_GOOGLE_CLIENT_ID": "portico",
        "PORTICO_OIDC_GOOGLE_CLIENT_SECRET": "canary-client-secret",
    }
    done = run("config", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "https://login.example.org" in done.stdout
    assert KEY not in done.stdout and "canary-client-secret" not in done.stdout


def test_a_second_service_on_one_sqlite_file_does_not_start(tmp_path: Path) -> None:
    first = Portico(tmp_path, f"sqlite://{tmp_path}/portico.db")
    first.start()
    try:
        second = Portico(tmp_path, f"sqlite://{tmp_path}/portico.db")
        done = serve(second.env, tmp_path)
        assert done.returncode == 78, done.stderr
        assert first.accounts() == [], "a command can use the same file"
    finally:
        assert first.stop() == 0


def test_an_operator_makes_and_finds_an_account(tmp_path: Path) -> None:
    env = {
        "PORTICO_PUBLIC_URL": "http://localhost:1", "PORTICO_SECURITY_SECRET_KEY": KEY,
        "PORTICO_STORAGE_URL": f"sqlite://{tmp_path}/portico.db",
    }
    made = run(
        "accounts", "create", "--name", "Ines Example", "--role", "staff", "--json", env=env, cwd=tmp_path
    )
    assert made.returncode == 0, made.stderr
    account = json.loads(made.stdout)
    listed = run("accounts", "list", "--json", env=env, cwd=tmp_path)
    assert [a["id"] for a in json.loads(listed.stdout)] == [account["id"]]
    shown = run("accounts", "show", "Ines Example", "--json", env=env, cwd=tmp_path)
    assert json.loads(shown.stdout)["roles"] == ["staff"]
    assert json.loads(shown.stdout)["identities"] == []
