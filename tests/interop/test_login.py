"""Complete logins at third-party identity providers, on both databases; a library verifies the tokens."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from browser import Browser
from conftest import Stage
from login import Session, arrive, log_in, verified
from portico import Portico
from providers import OIDC


def account_of(stage: Stage, account_id: str) -> dict:
    return next(account for account in stage.portico.accounts() if account["id"] == account_id)


def test_a_person_logs_in_and_any_library_verifies_the_token(stage: Stage) -> None:
    person = stage.newcomer()
    session = log_in(stage, OIDC, person)

    claims = verified(stage, session.token)
    assert jwt.get_unverified_header(session.token)["typ"] == "at+jwt"
    assert claims["name"] == person.name
    assert claims["idp"] == OIDC
    assert claims["email"] == person.email

    account = account_of(stage, claims["sub"])
    assert (account["name"], account["label"], account["email"]) == (person.name, person.name, person.email)
    assert account["status"] == "active"


def test_cookies_are_kept_from_scripts_and_the_login_cookie_is_gone(stage: Stage) -> None:
    browser = log_in(stage, OIDC, stage.newcomer()).browser
    ours = {c.name: c for c in browser.cookies.values() if c.name.startswith("portico_")}
    assert set(ours) == {"portico_access", "portico_refresh", "portico_csrf"}
    assert "httponly" in ours["portico_access"].attributes
    assert "httponly" in ours["portico_refresh"].attributes
    assert "httponly" not in ours["portico_csrf"].attributes
    assert {c.attributes["samesite"].lower() for c in ours.values()} == {"lax"}
    assert (ours["portico_access"].path, ours["portico_refresh"].path) == ("/", "/auth")


def test_a_second_login_finds_the_same_account(stage: Stage) -> None:
    person = stage.newcomer()
    first = verified(stage, log_in(stage, OIDC, person).token)
    second = verified(stage, log_in(stage, OIDC, person).token)
    assert first["sub"] == second["sub"]
    assert first["sid"] != second["sid"]
    assert len([a for a in stage.portico.accounts() if a["email"] == person.email]) == 1


def test_a_changed_name_changes_the_label_only(stage: Stage) -> None:
    person = stage.newcomer()
    before = verified(stage, log_in(stage, OIDC, person).token)
    stage.provider.put(replace(person, name="Alice Newname"))
    after = verified(stage, log_in(stage, OIDC, person).token)
    assert after["sub"] == before["sub"]
    account = account_of(stage, after["sub"])
    assert (account["name"], account["label"]) == (person.name, "Alice Newname")
    assert after["preferred_username"] == person.name
    assert after["name"] == "Alice Newname"


def test_every_kind_of_slot_logs_in_and_knows_the_person_again(stage: Stage) -> None:
    for slot in stage.provider.slots:
        person = stage.newcomer()
        first = verified(stage, log_in(stage, slot, person).token)
        assert (first["idp"], first["name"]) == (slot, person.name)
        assert verified(stage, log_in(stage, slot, person).token)["sub"] == first["sub"]


def test_two_people_with_one_name_get_two_accounts(stage: Stage) -> None:
    one, other = stage.newcomer(), stage.newcomer()
    stage.provider.put(replace(other, name=one.name))
    first = verified(stage, log_in(stage, OIDC, one).token)
    second = verified(stage, log_in(stage, OIDC, other).token)
    assert first["sub"] != second["sub"]
    assert first["preferred_username"] != second["preferred_username"]
    assert second["name"] == one.name


def test_refresh_and_logout(stage: Stage) -> None:
    session = log_in(stage, OIDC, stage.newcomer())
    before, refresh_cookie = session.token, session.browser.cookie("portico_refresh").value

    refused = session.ask("POST", "/auth/refresh", csrf=False)
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")

    answer = session.ask("POST", "/auth/refresh")
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json(), "a refresh by cookie keeps the refresh token in the cookie"
    assert session.browser.cookie("portico_refresh").value != refresh_cookie
    old, new = verified(stage, before), verified(stage, answer.json()["access_token"])
    assert (new["sub"], new["sid"]) == (old["sub"], old["sid"])
    assert new["jti"] != old["jti"]
    assert session.ask("GET", "/auth/session").status_code == 200

    thief = type(session)(stage, session.browser.twin(), session.callback)
    out = session.ask("POST", "/auth/logout")
    assert out.status_code == 200 and "logout_url" in out.json()
    assert session.browser.cookie("portico_access") is None
    assert session.browser.cookie("portico_refresh") is None
    for again in (session, thief):
        answer = again.ask("POST", "/auth/refresh")
        assert (answer.status_code, answer.json()["code"]) == (401, "session_invalid")


def test_a_callback_works_once_and_only_in_its_own_browser(stage: Stage) -> None:
    browser = Browser()
    callback = arrive(stage, OIDC, stage.newcomer(), browser)
    headers = {"Accept": "application/json"}

    stranger = Browser().request("GET", callback, headers).response
    assert (stranger.status_code, stranger.json()["code"]) == (400, "login_state_invalid")

    twin = browser.twin()
    assert browser.navigate(callback).response.status_code == 303
    for replay in (browser, twin):
        again = replay.request("GET", callback, headers).response
        assert (again.status_code, again.json()["code"]) == (400, "login_state_invalid")


def test_a_person_who_is_refused_sees_a_page_with_a_request_id(stage: Stage) -> None:
    answer = Browser().navigate(f"{stage.portico.redirect_uri(OIDC)}?code=c&state=unknown")
    assert answer.response.status_code == 400
    assert answer.response.headers["content-type"].startswith("text/html")
    assert "login_state_invalid" in answer.response.text


def test_the_log_holds_no_secret(stage: Stage) -> None:
    session = log_in(stage, OIDC, stage.newcomer())
    query = parse_qs(urlsplit(session.callback).query)
    token = session.token
    refresh = session.browser.cookie("portico_refresh").value
    session.ask("POST", "/auth/refresh")
    log = stage.portico.log()
    assert log, "a login writes a log line"
    settings = [
        value for name, value in stage.portico.env.items() if name.endswith(("_CLIENT_SECRET", "_SECRET_KEY"))
    ]
    for secret in [query["code"][0], query["state"][0], token, token.split(".")[2], refresh, *settings]:
        assert secret not in log


def test_sessions_and_keys_outlive_a_restart(stage: Stage) -> None:
    session = log_in(stage, OIDC, stage.newcomer())
    before = verified(stage, session.token)
    assert stage.portico.stop() == 0
    stage.portico.start()
    assert verified(stage, session.token) == before
    assert session.ask("GET", "/auth/session").json()["account"]["id"] == before["sub"]
    assert session.ask("POST", "/auth/refresh").status_code == 200


def test_every_signing_algorithm_is_verified_by_others(stage_signing: Stage) -> None:
    session = log_in(stage_signing, OIDC, stage_signing.newcomer())
    wanted = stage_signing.portico.env["PORTICO_SECURITY_SIGNING_ALG"]
    assert jwt.get_unverified_header(session.token)["alg"] == wanted
    assert verified(stage_signing, session.token)["idp"] == OIDC


def test_replicas_share_logins_sessions_and_keys(replicas: tuple[Stage, Portico]) -> None:
    stage, other = replicas
    here, there = stage.portico.public_url, other.address

    def ask(session: Session, replica: str, method: str, path: str) -> int:
        headers = {"Accept": "application/json", "Sec-Fetch-Site": "same-origin", "Origin": here}
        if proof := session.browser.cookie("portico_csrf"):
            headers["X-CSRF-Token"] = proof.value
        return session.browser.request(method, replica + path, headers).response.status_code

    browser = Browser()
    callback = arrive(stage, OIDC, stage.newcomer(), browser)
    assert browser.navigate(callback.replace(here, there)).response.status_code == 303
    session = Session(stage, browser, callback)
    assert browser.twin().request("GET", callback, {"Accept": "application/json"}).response.status_code == 400

    assert verified(stage, session.token)["idp"] == OIDC
    assert (
        httpx.get(f"{here}/.well-known/jwks.json").json()
        == httpx.get(f"{there}/.well-known/jwks.json").json()
    )
    assert ask(session, here, "GET", "/auth/session") == 200
    assert ask(session, there, "POST", "/auth/refresh") == 200
    assert ask(session, here, "POST", "/auth/refresh") == 200
    stolen = Session(stage, browser.twin(), callback)
    assert ask(session, here, "POST", "/auth/logout") == 200
    assert ask(stolen, there, "POST", "/auth/refresh") == 401
