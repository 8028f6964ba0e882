"""The API description is valid OpenAPI, and real responses match it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Iterator

import httpx
import pytest
from browser import Browser
from conftest import Stage, raised
from jsonschema import Draft202012Validator
from login import Session, arrive, log_in
from openapi_spec_validator import validate
from portico import run
from providers import OIDC

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, dict]]:
    """A service and its API description."""
    for stage in raised("oidc-provider", "sqlite", tmp_path_factory.mktemp("openapi")):
        yield stage, httpx.get(f"{stage.portico.public_url}/openapi.json", trust_env=False).json()


class Described:
    """Compares responses with the description."""

    def __init__(self, document: dict) -> None:
        self.document = document

    def whole(self, part: dict) -> dict:
        while "$ref" in part:
            _, kind, name = part["$ref"].removeprefix("#/").split("/")
            part = self.document["components"][kind][name]
        return part

    def expects(self, method: str, path: str, answer: httpx.Response, status: int) -> httpx.Response:
        """Asserts that the response has this status, and that the description contains it in this form."""
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        responses = self.document["paths"][path][method.lower()]["responses"]
        assert str(status) in responses, f"{method} {path}: status {status} is not described"
        response = self.whole(responses[str(status)])
        for name, header in response.get("headers", {}).items():
            assert not header.get("required") or name in answer.headers
        if not answer.content:
            assert "content" not in response or status == 303, f"{method} {path}: the body is missing"
            return answer
        media = answer.headers["content-type"].split(";")[0]
        schema = response["content"][media]["schema"]
        if media.endswith("json"):
            whole = {**schema, "components": self.document["components"]}
            Draft202012Validator(whole).validate(answer.json())
            self.names_all(schema, answer.json())
        return answer

    def names_all(self, schema: dict, value: object) -> None:
        """Asserts that the description contains every member of the value."""
        schema = self.whole(schema)
        if isinstance(value, dict) and "properties" in schema:
            undescribed = set(value) - set(schema["properties"]) - {"x", "y", "n", "e", "crv"}
            assert not undescribed, undescribed
            for name in value:
                self.names_all(schema["properties"].get(name, {}), value[name])
        if isinstance(value, list):
            for one in value:
                self.names_all(schema.get("items", {}), one)


def test_it_is_openapi_and_the_command_prints_the_same(described: tuple[Stage, dict]) -> None:
    stage, document = described
    validate(document)
    assert document["servers"] == [{"url": stage.portico.public_url}]
    printed = run("openapi", env={}, cwd=stage.portico.directory)
    assert printed.returncode == 0, printed.stderr
    assert {**json.loads(printed.stdout), "servers": document["servers"]} == document
    codes = set(re.findall(r"^\| `([a-z_]+)` \| [0-9]", (ROOT / "docs/errors.md").read_text(), re.M))
    assert set(document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == codes


def test_a_session_answers_as_described(described: tuple[Stage, dict]) -> None:
    stage, document = described
    api, url = Described(document), stage.portico.public_url
    slot = "/auth/{protocol}/{slot}"
    person, browser = stage.newcomer(), Browser()
    begun = browser.navigate(f"{url}/auth/{OIDC}/login?return_to=/").response
    api.expects("GET", f"{slot}/login", begun, 303)
    done = browser.navigate(arrive(stage, OIDC, person, browser)).response
    api.expects("GET", f"{slot}/callback", done, 303)
    session = Session(stage, browser, "")
    api.expects("GET", "/auth/session", session.ask("GET", "/auth/session"), 200)
    refreshed = api.expects("POST", "/auth/refresh", session.ask("POST", "/auth/refresh"), 200).json()
    assert "refresh_token" not in refreshed
    listed = api.expects("GET", "/auth/identities", session.ask("GET", "/auth/identities"), 200).json()
    own = session.ask("DELETE", f"/auth/identities/{listed['identities'][0]['id']}")
    api.expects("DELETE", "/auth/identities/{id}", own, 409)
    api.expects("POST", f"{slot}/link", session.ask("POST", f"/auth/{OIDC}/link?return_to=/"), 200)
    verified = api.expects("GET", "/auth/verify", session.ask("GET", "/auth/verify"), 200)
    assert set(document["paths"]["/auth/verify"]["get"]["responses"]["200"]["headers"]) <= {
        name.title() if name != "authorization" else "Authorization" for name in verified.headers
    }
    api.expects("GET", "/auth/verify", session.ask("GET", "/auth/verify?roles=none"), 403)
    log_in(stage, OIDC, person)
    listed = api.expects("GET", "/auth/sessions", session.ask("GET", "/auth/sessions"), 200).json()
    other = next(one["id"] for one in listed["sessions"] if not one["current"])
    api.expects("DELETE", "/auth/sessions/{id}", session.ask("DELETE", f"/auth/sessions/{other}"), 204)
    api.expects("DELETE", "/auth/sessions/{id}", session.ask("DELETE", "/auth/sessions/nobody"), 404)
    api.expects("POST", "/auth/logout", session.ask("POST", "/auth/logout", csrf=False), 403)
    api.expects("POST", "/auth/logout", session.ask("POST", "/auth/logout"), 200)
    api.expects("GET", "/auth/session", session.ask("GET", "/auth/session"), 401)
    api.expects("DELETE", "/auth/sessions", session.ask("DELETE", "/auth/sessions"), 401)


def test_what_needs_no_session_answers_as_described(described: tuple[Stage, dict]) -> None:
    stage, document = described
    api, url = Described(document), stage.portico.public_url
    slot = "/auth/{protocol}/{slot}"

    def ask(method: str, path: str, **more: object) -> httpx.Response:
        return httpx.request(method, url + path, trust_env=False, **more)

    page, start = {"Accept": "text/html"}, f"/auth/{OIDC}/login"
    cors, prefetch = {"Sec-Fetch-Mode": "cors"}, {**page, "Sec-Purpose": "prefetch"}
    metadata = "/.well-known/openid-configuration"
    api.expects("GET", "/openapi.json", ask("GET", "/openapi.json"), 200)
    api.expects("GET", "/auth/providers", ask("GET", "/auth/providers"), 200)
    api.expects("GET", "/auth/", ask("GET", "/auth/", headers=page), 200)
    api.expects("GET", "/auth/", ask("GET", "/auth/?return_to=https://elsewhere.example", headers=page), 400)
    api.expects("GET", "/.well-known/jwks.json", ask("GET", "/.well-known/jwks.json"), 200)
    api.expects("GET", metadata, ask("GET", metadata), 200)
    api.expects("GET", f"{slot}/login", ask("GET", start, headers=cors), 401)
    api.expects("GET", f"{slot}/login", ask("GET", "/auth/oidc/google/login", headers=page), 404)
    api.expects("GET", f"{slot}/login", ask("GET", start, headers=prefetch), 204)
    unknown = f"/auth/{OIDC}/callback?state=x&code=y"
    api.expects("GET", f"{slot}/callback", ask("GET", unknown, headers=page), 400)
    api.expects("GET", "/auth/break-glass", ask("GET", "/auth/break-glass", headers=page), 200)
    code = {"code": "x", "code_verifier": "y"}
    api.expects("POST", "/auth/token", ask("POST", "/auth/token", json=code), 400)
    api.expects("POST", "/auth/token", ask("POST", "/auth/token", content="{}"), 415)
    api.expects("POST", "/auth/refresh", ask("POST", "/auth/refresh", json={"refresh_token": "x"}), 401)
    logout = ask("POST", f"/auth/{OIDC}/backchannel-logout", data={"logout_token": "x"})
    api.expects("POST", "/auth/oidc/{slot}/backchannel-logout", logout, 400)
    unverified = api.expects("POST", "/auth/verify", ask("POST", "/auth/verify"), 401).json()
    assert unverified["login_url"] == f"{url}/auth/"
