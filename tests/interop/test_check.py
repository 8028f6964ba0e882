"""`portico check --live` against an identity provider that others wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterator

import pytest
from conftest import Stage, raised
from portico import run
from providers import OIDC


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[Stage]:
    yield from raised("oidc-provider", "sqlite", tmp_path)


def verdicts(stage: Stage, expected: int, **settings: str) -> dict[str, str]:
    """The verdicts of the OIDC slot with some settings changed, by the checks' names."""
    env = {**stage.portico.env, **{f"PORTICO_{name}": value for name, value in settings.items()}}
    done = run("check", "--live", "--json", env=env, cwd=stage.portico.directory)
    assert done.returncode == expected, done.stdout + done.stderr
    for secret in (value for name, value in env.items() if name.endswith("_CLIENT_SECRET")):
        assert secret not in done.stdout + done.stderr
    slot = next(slot for slot in json.loads(done.stdout)["slots"] if slot["name"] == OIDC)
    assert slot["redirect_uri"] == stage.portico.redirect_uri(OIDC) or settings
    return {check["check"]: check["verdict"] for check in slot["checks"]}


def test_right_settings_pass_and_each_wrong_one_is_named(certified: Stage) -> None:
    right = verdicts(certified, 0)
    assert {name for name, verdict in right.items() if verdict != "ok"} == {"tls"}, right
    wrong = verdicts(certified, 1, OIDC_PROVIDER1_CLIENT_SECRET="a-secret-nobody-registered")
    assert [name for name, verdict in wrong.items() if verdict == "bad"] == ["client_secret"]
    elsewhere = verdicts(certified, 1, PUBLIC_URL="http://localhost:1")
    assert "redirect_uri" in [name for name, verdict in elsewhere.items() if verdict == "bad"]
