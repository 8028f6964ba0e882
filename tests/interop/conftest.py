"""Stages: a provider, a database and a `portico serve` with both. Several tests share one stage."""

from __future__ import annotations

import os
import subprocess
import uuid
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Iterator

import pytest
from portico import Portico
from providers import ALICE, PROVIDERS, Person, Provider

_people = count(1)


@dataclass
class Stage:
    """A provider and a Portico that is configured for it."""

    provider: Provider
    portico: Portico

    def newcomer(self) -> Person:
        """Creates a user at the provider without any earlier login."""
        number = next(_people)
        person = replace(
            ALICE, sub=f"alice{number}", name=f"Alice Example {number}", email=f"alice{number}@example.org"
        )
        self.provider.put(person)
        return person


def storage_url(kind: str, directory: Path) -> str:
    """Creates an empty database and returns its URL."""
    if kind == "sqlite":
        return f"sqlite://{directory}/portico.db"
    server = os.environ.get("PORTICO_TEST_POSTGRES_URL")
    if not server:
        pytest.skip("PORTICO_TEST_POSTGRES_URL is not set: no PostgreSQL")
    name = f"interop_{uuid.uuid4().hex}"
    subprocess.run(["psql", "-q", "-X", server, "-c", f"CREATE DATABASE {name}"], check=True, timeout=60)
    return server.rsplit("/", 1)[0] + f"/{name}"


def raised(provider: str, storage: str, directory: Path, **settings: str) -> Iterator[Stage]:
    """Starts both processes and stops them in any case."""
    portico = Portico(directory, storage_url(storage, directory), **settings)
    started = PROVIDERS[provider](portico, directory)
    try:
        portico.env.update({f"PORTICO_{name}": value for name, value in started.settings().items()})
        portico.start()
        yield Stage(started, portico)
        assert portico.stop() == 0, f"a clean shutdown has exit code 0:\n{portico.log()}"
    finally:
        portico.kill()
        started.stop()


@pytest.fixture(
    scope="session", params=[(idp, db) for idp in PROVIDERS for db in ("sqlite", "postgres")], ids="-".join
)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage for every provider with every database."""
    provider, storage = request.param
    yield from raised(provider, storage, tmp_path_factory.mktemp(f"{provider}-{storage}"))


@pytest.fixture(params=["EdDSA", "RS256"])
def stage_signing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """One provider, SQLite, and a signing algorithm other than the default."""
    yield from raised("oidc-provider", "sqlite", tmp_path, SECURITY_SIGNING_ALG=request.param)


@pytest.fixture
def replicas(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Portico]]:
    """Two replicas of one service on PostgreSQL."""
    for stage in raised("oidc-provider", "postgres", tmp_path):
        other = stage.portico.replica(tmp_path_factory.mktemp("replica"))
        other.start()
        try:
            yield stage, other
            assert other.stop() == 0
        finally:
            other.kill()
