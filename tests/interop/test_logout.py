"""Logout in both directions: from Portico at the provider, and back-channel logout from the provider."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest
from browser import Browser
from conftest import Stage, raised
from login import Session, log_in
from providers import OIDC


def asks_who_it_is(stage: Stage, browser: Browser) -> bool:
    """Returns whether the provider shows a page at the next login instead of an immediate redirect."""
    # Remove Portico's cookie about the logout, which forces the provider to show a page.
    for key in [key for key in browser.cookies if key[1] == "portico_signed_out"]:
        del browser.cookies[key]
    callback = stage.portico.redirect_uri(OIDC)
    return (
        browser.follow(browser.navigate(f"{stage.portico.public_url}/auth/{OIDC}/login"), callback).location
        is None
    )


def test_a_logout_ends_the_session_at_the_provider(stage: Stage) -> None:
    session = log_in(stage, OIDC, stage.newcomer())
    signed_in = not asks_who_it_is(stage, session.browser)
    url = session.ask("POST", "/auth/logout").json()["logout_url"]
    if not stage.provider.ends_sessions:
        assert url is None
        return
    assert signed_in
    back = f"{stage.portico.public_url}/"
    page = session.browser.follow(session.browser.navigate(url), back)
    page = stage.provider.sign_out(session.browser, page, back)
    assert page.location == back, f"{page.url} {page.response.status_code}: {page.response.text[:2000]}"
    assert asks_who_it_is(stage, session.browser)


@pytest.fixture(params=["sqlite", "postgres"])
def back_channel(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """The provider that sends logout tokens (OIDC Back-Channel Logout 1.0)."""
    yield from raised("oidc-provider", request.param, tmp_path)


def live(session: Session) -> bool:
    answer = session.ask("POST", "/auth/refresh")
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


def test_a_logout_at_the_provider_ends_our_session_and_no_other(back_channel: Stage) -> None:
    stage = back_channel
    person = stage.newcomer()
    here, elsewhere = log_in(stage, OIDC, person), log_in(stage, OIDC, person)
    somebody = log_in(stage, OIDC, stage.newcomer())
    assert live(here) and live(elsewhere)

    page = here.browser.navigate(f"{stage.provider.issuer}/session/end")
    done = stage.provider.sign_out(here.browser, page, stage.portico.public_url)
    assert done.response.status_code in (200, 303), done.response.text[:2000]

    assert not live(here), stage.portico.log()[-2000:]
    assert live(elsewhere) and live(somebody), "a logout token names one session (sid)"
