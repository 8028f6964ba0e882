"""Key rotation with a third-party verifier that caches the key set by its own rules."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Iterator

import httpx
import jwt
import pytest
from conftest import Stage, raised
from login import log_in
from providers import OIDC

# The maximum delay in seconds until a running service uses changed keys, with a margin.
PATIENCE = 40
# The seconds between publication and first use of a key; no test waits for that long.
NOTICE = 600


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    yield from raised("glewlwyd", "sqlite", tmp_path)


class Verifier(jwt.PyJWKClient):
    """PyJWT's client with default options. `cut_off` makes a fetch of the key set fail."""

    def __init__(self, stage: Stage) -> None:
        self.issuer = stage.portico.public_url
        self.cut_off = False
        super().__init__(f"{self.issuer}/.well-known/jwks.json")

    def fetch_data(self) -> object:
        assert not self.cut_off, "the cached key set must be sufficient"
        return super().fetch_data()

    def verifies(self, token: str) -> dict:
        key = self.get_signing_key_from_jwt(token)
        return jwt.decode(token, key, algorithms=["ES256"], issuer=self.issuer, audience=self.issuer)


def published(stage: Stage) -> list[str]:
    keys = httpx.get(f"{stage.portico.public_url}/.well-known/jwks.json", trust_env=False).json()["keys"]
    return [key["kid"] for key in keys]


def signer(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


def let_the_notice_pass(stage: Stage) -> None:
    with sqlite3.connect(stage.portico.directory / "portico.db", timeout=10) as database:
        database.execute(
            "UPDATE signing_keys SET created_at = created_at - ? WHERE state = 'next'", (NOTICE,)
        )
    database.close()


def test_a_verifier_that_keeps_the_key_set_never_refuses_a_token_over_a_rotation(stage: Stage) -> None:
    session = log_in(stage, OIDC, stage.newcomer())
    old, first = session.token, signer(session.token)
    early = Verifier(stage)
    early.verifies(old)

    following = stage.portico.command("keys", "rotate")["kid"]
    deadline = time.monotonic() + PATIENCE
    while following not in published(stage):
        assert time.monotonic() < deadline, "the running service publishes the key without a restart"
        time.sleep(0.2)
    assert session.ask("POST", "/auth/refresh").status_code == 200
    assert signer(session.token) == first, "the next key is published before it signs"

    # Every verifier fetches the set again within the notice of ten minutes, because it caches for five.
    kept = Verifier(stage)
    kept.verifies(session.token)
    kept.cut_off = early.cut_off = True
    let_the_notice_pass(stage)
    assert stage.portico.stop() == 0
    stage.portico.start()
    deadline = time.monotonic() + PATIENCE
    while signer(session.token) != following:
        assert time.monotonic() < deadline, "the next key signs after its notice"
        assert session.ask("POST", "/auth/refresh").status_code == 200
        time.sleep(0.2)

    assert kept.verifies(session.token)["sub"] == kept.verifies(old)["sub"]
    early.verifies(old)
    fresh = Verifier(stage)
    fresh.verifies(old)
    fresh.verifies(session.token)
    states = {key["kid"]: key["state"] for key in stage.portico.command("keys", "list")}
    assert states == {first: "retired", following: "current"}
