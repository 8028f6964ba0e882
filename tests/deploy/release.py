"""A login through a release whose public URL leads elsewhere, as behind an Ingress."""

from __future__ import annotations

import sys

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests/interop"))

from browser import Browser  # noqa: E402
from portico import BINARY, free_port  # noqa: E402
from providers import ALICE, OIDC, OidcProvider  # noqa: E402

__all__ = ["ALICE", "BINARY", "OIDC", "OidcProvider", "Published", "free_port", "log_in"]


class Published:
    """What a provider must know of the release."""

    public_url = "https://app.example.org"

    def redirect_uri(self, slot: str) -> str:
        return f"{self.public_url}/auth/{slot}/callback"


def log_in(address: str, provider: OidcProvider) -> Browser:
    """As behind the Ingress, which sends the public host to the pod."""
    release, browser = Published(), Browser()
    callback = release.redirect_uri(OIDC)
    page = browser.follow(browser.navigate(f"{address}/auth/{OIDC}/login?return_to=/start"), callback)
    answer = provider.sign_in(browser, page, ALICE, callback)
    assert answer.location is not None, answer.response.text[:2000]
    done = browser.navigate(answer.location.replace(release.public_url, address))
    assert (done.response.status_code, done.location) == (303, f"{release.public_url}/start"), done.response.text[-600:]
    return browser
