"""`portico check --live` against a third-party identity provider."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import pytest
from conftest import Stage, raised, storage_url
from portico import Portico, free_port, run
from providers import OIDC
from proxy import configured, fronting


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[Stage]:
    yield from raised("oidc-provider", "sqlite", tmp_path)


def verdicts(stage: Stage, expected: int, **settings: str) -> dict[str, str]:
    """Returns the verdicts of the OIDC slot with changed settings, by check name."""
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


NGINX = """
    large_client_header_buffers 4 {header};
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass {portico}; proxy_bind 127.0.0.2; {extra} }}
    }}
"""

APPENDS = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"


@contextmanager
def proxied(directory: Path, extra: str, header: str, **settings: str) -> Iterator[Portico]:
    """Runs a service behind nginx, which connects from 127.0.0.2."""
    port = free_port()
    portico = Portico(
        directory, storage_url("sqlite", directory), PUBLIC_URL=f"http://localhost:{port}", **settings
    )
    command = configured(
        directory, NGINX.format(port=port, portico=portico.address, extra=extra, header=header)
    )
    try:
        portico.start()
        with fronting(command, directory, f"http://localhost:{port}"):
            yield portico
    finally:
        portico.kill()


@pytest.mark.parametrize(("extra", "header", "trusted", "wrong"), [
    (APPENDS, "16k", "127.0.0.2/32", {}),
    (APPENDS + "proxy_cookie_path / /sso/;", "16k", "127.0.0.2/32", {"cookies": "bad"}),
    (APPENDS + "proxy_cookie_flags ~ nohttponly;", "16k", "127.0.0.2/32", {"cookies": "bad"}),
    (APPENDS + "proxy_hide_header Set-Cookie;", "16k", "127.0.0.2/32", {"cookies": "bad"}),
    (APPENDS + 'proxy_set_header Cookie "";', "16k", "127.0.0.2/32", {"cookies": "bad"}),
    (APPENDS, "4k", "127.0.0.2/32", {"header_size": "bad"}),
    ("", "16k", "127.0.0.2/32", {"forwarded": "bad"}),
    (APPENDS, "16k", "", {"forwarded": "bad"}),
    (APPENDS, "16k", "10.0.0.0/8", {"forwarded": "bad"}),
    ('proxy_set_header X-Forwarded-For "";', "16k", "127.0.0.2/32", {"forwarded": "bad"}),
    ("", "16k", "", {"forwarded": "unknown"}),
], ids=[
    "right", "path of cookies", "flags of cookies", "answers without cookies", "requests without cookies",
    "small headers",
    "passes on what clients invent", "not named", "another named", "does not say who", "cannot be told",
])
def test_a_proxy_is_judged_through_the_public_url(
    tmp_path: Path, extra: str, header: str, trusted: str, wrong: dict[str, str],
) -> None:
    with proxied(tmp_path, extra, header, SERVER_TRUSTED_PROXIES=trusted) as portico:
        done = run("check", "--live", "--json", env=portico.env, cwd=tmp_path)
        found = {check["check"]: check["verdict"] for check in json.loads(done.stdout)["public_url"]}
        assert found == {
            "dns": "ok",
            "tls": "unknown",
            "reachable": "ok",
            "header_size": "ok",
            "cookies": "ok",
            "forwarded": "ok",
            **wrong,
        }, done.stdout
        assert done.returncode == (1 if "bad" in wrong.values() else 0)
        another_key = {**portico.env, "PORTICO_SECURITY_SECRET_KEY": secrets.token_hex(32)}
        stranger = json.loads(run("check", "--live", "--json", env=another_key, cwd=tmp_path).stdout)
        told = {check["check"]: check["verdict"] for check in stranger["public_url"]}
        assert (told["reachable"], told["cookies"], told["forwarded"]) == ("ok", "unknown", "unknown")
