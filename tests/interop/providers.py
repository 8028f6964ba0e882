"""Third-party identity providers, each started on loopback for one test session."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import httpx
from browser import Answer, Browser
from glewlwyd import Glewlwyd
from lemonldap import LemonLdap
from people import ALICE, OAUTH2, OIDC, OIDC_PUBLIC, Person, Provider
from portico import Portico, free_port

__all__ = ["ALICE", "OAUTH2", "OIDC", "OIDC_PUBLIC", "PROVIDERS", "Person", "Provider"]

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parents[1] / "target" / "test-tools"


class Launched:
    """A provider with a launcher script, which prints its issuer and reads users as JSON lines."""

    def __init__(self, program: list[str], directory: Path) -> None:
        self.log = directory / "provider.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                program, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.issuer = self._line()["issuer"]

    def _line(self) -> dict:
        line = self.process.stdout.readline()
        assert line, f"the provider exited with {self.process.wait(5)}:\n{self.log.read_text()[-3000:]}"
        return json.loads(line)

    def put(self, person: Person) -> None:
        claims = {name: value for name, value in asdict(person).items() if value != ()}
        assert self._tell(claims) == {"sub": person.sub}

    def _tell(self, line: dict) -> dict:
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        return self._line()

    def stop(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class OidcProvider(Launched):
    """npm's `oidc-provider`: profile claims only at userinfo, `iss` in the response, PKCE required."""

    slots = (OIDC, OIDC_PUBLIC, OAUTH2)
    ends_sessions = True
    wrong_secret = "invalid_client"

    def __init__(self, portico: Portico, directory: Path) -> None:
        self.secrets = {slot: secrets.token_urlsafe(24) for slot in (OIDC, OAUTH2)}
        clients = [
            {
                **self._client("web", portico.redirect_uri(OIDC), "ES256", self.secrets[OIDC]),
                "post_logout_redirect_uris": [f"{portico.public_url}/"],
                "backchannel_logout_uri": f"{portico.public_url}/auth/{OIDC}/backchannel-logout",
                "backchannel_logout_session_required": True,
            },
            self._client("spa", portico.redirect_uri(OIDC_PUBLIC), "RS256", None),
            self._client("plain", portico.redirect_uri(OAUTH2), "ES256", self.secrets[OAUTH2]),
        ]
        node = TOOLS / "bin" / "node"
        program = [
            str(node) if node.exists() else "node",
            str(HERE / "oidc-provider.mjs"),
            json.dumps(clients),
        ]
        super().__init__(program, directory)

    @staticmethod
    def _client(name: str, redirect_uri: str, alg: str, secret: str | None) -> dict:
        client = {
            "client_id": name, "redirect_uris": [redirect_uri], "grant_types": ["authorization_code"],
            "response_types": ["code"], "id_token_signed_response_alg": alg,
            "token_endpoint_auth_method": "client_secret_basic" if secret else "none",
        }
        return {**client, "client_secret": secret} if secret else client

    def settings(self) -> dict[str, str]:
        return {
            "SECURITY_OIDC_PROVIDERS": "provider1,provider2",
            "SECURITY_OAUTH2_PROVIDERS": "provider1",
            "OIDC_PROVIDER1_CLIENT_ID": "web",
            "OIDC_PROVIDER1_CLIENT_SECRET": self.secrets[OIDC],
            "OIDC_PROVIDER1_DISCOVERY_URL": f"{self.issuer}/.well-known/openid-configuration",
            "OIDC_PROVIDER2_CLIENT_ID": "spa",
            "OIDC_PROVIDER2_DISCOVERY_URL": f"{self.issuer}/.well-known/openid-configuration",
            "OAUTH2_PROVIDER1_CLIENT_ID": "plain",
            "OAUTH2_PROVIDER1_CLIENT_SECRET": self.secrets[OAUTH2],
            "OAUTH2_PROVIDER1_AUTHORIZATION_URL": f"{self.issuer}/auth",
            "OAUTH2_PROVIDER1_TOKEN_URL": f"{self.issuer}/token",
            "OAUTH2_PROVIDER1_USERINFO_URL": f"{self.issuer}/me",
            "SECURITY_POST_LOGOUT_REDIRECT_URL": "/",
        }

    def sign_in(self, browser: Browser, page: Answer, person: Person, until: str) -> Answer:
        assert page.response.status_code == 200, page.response.text[:2000]
        answer = browser.submit(page, login=person.sub, password="any will do")
        page = browser.follow(answer, until)
        if page.location is None:
            page = browser.follow(browser.submit(page), until)
        return page

    def sign_out(self, browser: Browser, page: Answer, until: str) -> Answer:
        return browser.follow(browser.submit(page, logout="yes"), until)


def python(environment: str) -> str:
    """Returns the Python of a provider's environment; tests/prepare creates it."""
    return str(TOOLS / environment / "bin" / "python")


class Canaille(Launched):
    """PyPI's `canaille`: dynamic client registration, `iss` in the response, consent at the first login."""

    slots = (OIDC,)
    ends_sessions = True
    wrong_secret = "invalid_client"

    def __init__(self, portico: Portico, directory: Path) -> None:
        super().__init__([python("canaille"), str(HERE / "canaille_server.py"), str(free_port())], directory)
        registered = httpx.post(f"{self.issuer}/oauth/register", trust_env=False, timeout=15, json={
            "client_name": "Portico", "redirect_uris": [portico.redirect_uri(OIDC)],
            "grant_types": ["authorization_code"],
            "response_types": ["code"], "scope": "openid profile email",
            "token_endpoint_auth_method": "client_secret_basic",
            "post_logout_redirect_uris": [f"{portico.public_url}/"],
        })
        assert registered.status_code == 201, registered.text
        self.client = registered.json()
        self.signed_in: dict[str, float] = {}

    def leave_out_the_audience(self) -> None:
        """Later ID tokens have no audience."""
        change = {"without_audience": self.client["client_id"]}
        assert self._tell(change) == change

    def settings(self) -> dict[str, str]:
        return {
            "SECURITY_OIDC_PROVIDERS": "provider1",
            "OIDC_PROVIDER1_CLIENT_ID": self.client["client_id"],
            "OIDC_PROVIDER1_CLIENT_SECRET": self.client["client_secret"],
            "OIDC_PROVIDER1_DISCOVERY_URL": self.issuer,
            "SECURITY_POST_LOGOUT_REDIRECT_URL": "/",
        }

    def sign_in(self, browser: Browser, page: Answer, person: Person, until: str) -> Answer:
        # Canaille issues equal access tokens within one second, and its database refuses the second one.
        time.sleep(max(0.0, self.signed_in.get(person.sub, 0.0) + 1.1 - time.monotonic()))
        self.signed_in[person.sub] = time.monotonic()
        for answers in ({"login": person.sub}, {"password": "any will do"}, {"answer": "accept"}):
            assert page.response.status_code == 200, page.response.text[:2000]
            page = browser.follow(browser.submit(page, **answers), until)
            if page.location is not None:
                break
        return page

    def sign_out(self, browser: Browser, page: Answer, until: str) -> Answer:
        return page


class DjangoOauthToolkit(Launched):
    """PyPI's `django-oauth-toolkit`: an issuer with a path, the profile in the ID token, no `iss`."""

    slots = (OIDC,)
    ends_sessions = True
    wrong_secret = "invalid_client"

    def __init__(self, portico: Portico, directory: Path) -> None:
        self.secret = secrets.token_urlsafe(24)
        client = {
            "client_id": "portico", "client_secret": self.secret, "redirect_uri": portico.redirect_uri(OIDC),
            "post_logout_redirect_uri": f"{portico.public_url}/",
        }
        program = [python("django"), str(HERE / "django_server.py"), str(free_port()), json.dumps([client])]
        super().__init__(program, directory)

    def settings(self) -> dict[str, str]:
        return {
            "SECURITY_OIDC_PROVIDERS": "provider1",
            "OIDC_PROVIDER1_CLIENT_ID": "portico",
            "OIDC_PROVIDER1_CLIENT_SECRET": self.secret,
            "OIDC_PROVIDER1_DISCOVERY_URL": self.issuer,
            "SECURITY_POST_LOGOUT_REDIRECT_URL": "/",
        }

    def sign_in(self, browser: Browser, page: Answer, person: Person, until: str) -> Answer:
        assert page.response.status_code == 200, page.response.text[:2000]
        return browser.follow(browser.submit(page, username=person.sub, password="any will do"), until)

    def sign_out(self, browser: Browser, page: Answer, until: str) -> Answer:
        return page


PROVIDERS = {
    "oidc-provider": OidcProvider,
    "glewlwyd": Glewlwyd,
    "canaille": Canaille,
    "django-oauth-toolkit": DjangoOauthToolkit,
    "lemonldap": LemonLdap,
}
