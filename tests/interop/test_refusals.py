"""Refusals at third-party identity providers: a wrong, used or foreign code, and a wrong secret."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from browser import Browser
from conftest import Stage, raised
from login import arrive, log_in, verified
from providers import OIDC


def with_code(callback: str, code: str) -> str:
    """Returns the callback URL with another code."""
    parts = urlsplit(callback)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert query["code"] != code
    return parts._replace(query=urlencode({**query, "code": code})).geturl()


def code_of(callback: str) -> str:
    return parse_qs(urlsplit(callback).query)["code"][0]


def refused(browser: Browser, callback: str) -> httpx.Response:
    answer = browser.request("GET", callback, {"Accept": "application/json"}).response
    assert browser.cookie("portico_access") is None and browser.cookie("portico_refresh") is None
    return answer


def assert_code_rejected(stage: Stage, answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (401, "code_rejected"), (
        f"{answer.text}\n{stage.portico.log()[-2000:]}"
    )


def test_a_code_that_the_provider_never_gave_is_refused(stage: Stage) -> None:
    person, browser = stage.newcomer(), Browser()
    before = len(stage.portico.accounts())
    callback = arrive(stage, OIDC, person, browser)
    assert_code_rejected(stage, refused(browser, with_code(callback, "never-given")))
    assert len(stage.portico.accounts()) == before
    # The login is spent: a second attempt with the right code fails.
    again = refused(browser, callback)
    assert (again.status_code, again.json()["code"]) == (400, "login_state_invalid")


def test_a_code_that_was_used_is_refused(stage: Stage) -> None:
    person, thief = stage.newcomer(), Browser()
    session = log_in(stage, OIDC, person)
    other = stage.newcomer()
    callback = arrive(stage, OIDC, other, thief)
    assert_code_rejected(stage, refused(thief, with_code(callback, code_of(session.callback))))
    assert verified(stage, session.token)["email"] == person.email


def test_a_code_of_another_browser_is_refused_though_nobody_used_it(stage: Stage) -> None:
    """The provider compares the verifier (RFC 7636, 4.6), so a stolen code fails in another login."""
    victim, thief = Browser(), Browser()
    stolen = arrive(stage, OIDC, stage.newcomer(), victim)
    own = arrive(stage, OIDC, stage.newcomer(), thief)
    assert_code_rejected(stage, refused(thief, with_code(own, code_of(stolen))))


def test_a_wrong_client_secret_is_told_to_the_operator_and_nobody_else(stage: Stage) -> None:
    name = "PORTICO_OIDC_PROVIDER1_CLIENT_SECRET"
    right, wrong = stage.portico.env[name], "a-secret-nobody-registered"
    stage.portico.stop()
    stage.portico.env[name] = wrong
    stage.portico.start()
    try:
        browser = Browser()
        answer = refused(browser, arrive(stage, OIDC, stage.newcomer(), browser))
        assert_code_rejected(stage, answer)
        assert stage.provider.wrong_secret not in answer.text
        log = stage.portico.log()
        assert f'"{stage.provider.wrong_secret}\\"' in log and wrong not in log, log[-3000:]
    finally:
        stage.portico.stop()
        stage.portico.env[name] = right
        stage.portico.start()
    browser = Browser()
    assert log_in(stage, OIDC, stage.newcomer(), browser).token


def test_an_id_token_that_names_no_audience_is_refused(tmp_path: Path) -> None:
    """Clients created by Canaille's command line get such tokens (OIDC Core 3.1.3.7, step 3)."""
    for stage in raised("canaille", "sqlite", tmp_path):
        assert log_in(stage, OIDC, stage.newcomer()).token
        stage.provider.leave_out_the_audience()
        browser = Browser()
        answer = refused(browser, arrive(stage, OIDC, stage.newcomer(), browser))
        assert (answer.status_code, answer.json()["code"]) == (401, "idp_token_invalid"), answer.text
        assert "aud" in stage.portico.log().splitlines()[-1]
