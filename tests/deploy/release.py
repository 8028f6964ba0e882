"""A login at a release whose public URL differs from its address, as behind an Ingress."""

from __future__ import annotations

import sys

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests/interop"))

from browser import Browser  # noqa: E402
from portico import BINARY, free_port  # noqa: E402
from providers import ALICE, OIDC, OidcProvider  # noqa: E402

__all__ = ["ALICE", "BINARY", "OIDC", "OidcProvider", "Published", "free_port", "log_in"]


class Published:
    """The URLs of the release that a provider needs."""

    public_url = "https://app.example.org"

    def redirect_uri(self, slot: str) -> str:
        return f"{self.public_url}/auth/{slot}/callback"


def log_in(address: str, provider: OidcProvider) -> Browser:
    """Logs in, with the public host mapped to the address, as an Ingress does."""
    release, browser = Published(), Browser()
    callback = release.redirect_uri(OIDC)
    page = browser.follow(browser.navigate(f"{address}/auth/{OIDC}/login?return_to=/start"), callback)
    answer = provider.sign_in(browser, page, ALICE, callback)
    assert answer.location is not None, answer.response.text[:2000]
    done = browser.navigate(answer.location.replace(release.public_url, address))
    assert (done.response.status_code, done.location) == (303, f"{release.public_url}/start"), (
        done.response.text[-600:]
    )
    return browser
