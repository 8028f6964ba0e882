"""Runs a login as a browser does, and verifies the token as a backend does."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import httpx
import jwt
from browser import Answer, Browser
from conftest import Stage
from providers import Person

RETURN_TO = "/app/start?tab=2"


@dataclass
class Session:
    """A browser with a session."""

    stage: Stage
    browser: Browser
    callback: str

    @property
    def token(self) -> str:
        return self.browser.cookie("portico_access").value

    def ask(self, method: str, path: str, csrf: bool = True) -> httpx.Response:
        """Sends a request as the script of the application does."""
        url = self.stage.portico.public_url
        headers = {
            "Accept": "application/json",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Site": "same-origin",
            "Origin": url,
        }
        proof = self.browser.cookie("portico_csrf")
        if csrf and proof:
            headers["X-CSRF-Token"] = proof.value
        return self.browser.request(method, url + path, headers).response


def arrive(stage: Stage, slot: str, person: Person, browser: Browser) -> str:
    """Starts a login and signs in at the provider. Returns the callback URL without visiting it."""
    callback = stage.portico.redirect_uri(slot)
    start = f"{stage.portico.public_url}/auth/{slot}/login?return_to={quote(RETURN_TO)}"
    page = browser.follow(browser.navigate(start), callback)
    # The provider may have a session and redirect immediately.
    if page.location is None:
        page = stage.provider.sign_in(browser, page, person, callback)
    assert page.location is not None, f"{page.url} {page.response.status_code}: {page.response.text[:2000]}"
    return page.location


def log_in(stage: Stage, slot: str, person: Person, browser: Browser | None = None) -> Session:
    """Runs a complete login that must succeed."""
    browser = browser or Browser()
    callback = arrive(stage, slot, person, browser)
    answer: Answer = browser.navigate(callback)
    assert answer.response.status_code == 303, f"{answer.response.text[:2000]}\n{stage.portico.log()[-3000:]}"
    assert answer.location == stage.portico.public_url + RETURN_TO
    return Session(stage, browser, callback)


def verified(stage: Stage, token: str) -> dict:
    """Verifies a token like a backend that knows only the issuer URL."""
    issuer = stage.portico.public_url
    metadata = httpx.get(f"{issuer}/.well-known/openid-configuration", trust_env=False).json()
    assert metadata["issuer"] == issuer
    key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token)
    return jwt.decode(
        token, key, algorithms=["ES256", "EdDSA", "RS256"], issuer=issuer, audience=issuer,
        options={"require": ["exp", "iat", "nbf", "iss", "aud", "sub", "jti"]},
    )
