//! H17, H24, H25: the hand-off to a frontend, and redirects after a login.

use serde_json::json;
use url::Url;

use futures_util::future::join_all;

use crate::testkit::{Answer, Backend, Browser, Request, TestApp, on_both_databases};

on_both_databases!(
    h17_q_x_18_a_logout_needs_no_provider_and_no_link_does_it,
    h24_tokens_are_in_no_address_and_on_no_page,
    h24_a_code_tried_many_times_at_once_is_good_once,
    h24_cookies_count_for_nothing_at_the_exchange,
    h25_links_and_hand_offs_go_on_by_303,
);

const OIDC: &str = "oidc/provider1";
const OAUTH2: &str = "oauth2/provider1";
const SPA: &str = "https://spa.example.org";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An application that accepts the frontend's origin in `return_to`.
async fn start(backend: Backend) -> TestApp {
    TestApp::on(backend).set("SERVER_RETURN_ORIGINS", SPA).start().await
}

/// A login that ends with a hand-off code; returns the callback's response.
async fn hand_off(browser: &mut Browser) -> Answer {
    let mut url = browser.url(&format!("/auth/{OIDC}/login"));
    url.query_pairs_mut()
        .append_pair("return_to", "https://spa.example.org/cb")
        .append_pair("code_challenge", CHALLENGE);
    let authorization = browser.visit(&url).await.location();
    let callback = browser.choose(&authorization, "ada-1").await;
    browser.callback(&callback).await
}

/// Links an identity of the OAuth 2.0 slot; returns the callback's response.
async fn link(browser: &mut Browser) -> Answer {
    let started = browser.post(&format!("/auth/{OAUTH2}/link")).await;
    let location = started.is(200).json()["location"].as_str().unwrap().parse::<Url>().unwrap();
    let callback = browser.choose(&location, "bruno-2").await;
    browser.callback(&callback).await
}

/// The request that redeems the hand-off code of a callback's response.
fn exchange(browser: &Browser, handed_off: &Answer) -> Request {
    let location = handed_off.location();
    let code = location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let body = json!({ "code": code, "code_verifier": VERIFIER });
    Request::new("POST", browser.url("/auth/token")).json(&body)
}

async fn h17_q_x_18_a_logout_needs_no_provider_and_no_link_does_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in(OIDC, "ada-1").await;
    let url = browser.url("/auth/logout");
    browser.visit(&url).await.refused(405, "method_not_allowed");
    assert!(browser.is_signed_in().await);
    app.realm(OIDC).knobs(|knobs| {
        for answer in [&mut knobs.discovery.answer, &mut knobs.jwks.answer, &mut knobs.token.answer] {
            answer.status = Some(503);
        }
    });
    app.advance(2 * 3600);
    browser.post("/auth/refresh").await.is(200);
    browser.post("/auth/logout").await.is(200);
    assert!(!browser.is_signed_in().await);
}

async fn h24_tokens_are_in_no_address_and_on_no_page(backend: Backend) {
    let app = start(backend).await;
    let mut browser = app.browser();
    let exchanged = hand_off(&mut browser).await;
    let exchanged = app.browser().send(exchange(&browser, &exchanged)).await;
    let tokens = exchanged.is(200).json();
    browser.log_in(OIDC, "ada-1").await;
    link(&mut browser).await.is(303);
    let secrets = [tokens["refresh_token"].as_str().unwrap(), browser.jar.value("portico_refresh")];
    let secrets = secrets.map(str::to_owned);
    let page = browser.url("/auth/");
    let page = browser.visit(&page).await.is(200).body.clone();
    let missing = browser.url("/auth/nothing");
    let refusal = browser.visit(&missing).await.is(404).body.clone();
    let addresses = browser.trail.iter().map(ToString::to_string);
    for shown in addresses.chain([page, refusal]) {
        assert!(!shown.contains("eyJ"), "a JWT: {shown}");
        assert!(secrets.iter().all(|secret| !shown.contains(secret)), "a refresh token: {shown}");
    }
    assert!(
        tokens["access_token"].as_str().unwrap().starts_with("eyJ"),
        "an access token begins like every JWT"
    );
}

async fn h24_a_code_tried_many_times_at_once_is_good_once(backend: Backend) {
    let app = start(backend).await;
    let mut browser = app.browser();
    let handed_off = hand_off(&mut browser).await;
    let request = exchange(&browser, &handed_off);
    let answers = join_all((0..12).map(|_| {
        let (mut frontend, request) = (app.browser(), request.clone());
        async move { frontend.send(request).await }
    }))
    .await;
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((good.len(), bad.len()), (1, 11));
    for answer in bad {
        answer.refused(400, "handoff_invalid");
    }
    assert_eq!(app.database.count("sessions", "1 = 1").await, 1);
}

async fn h24_cookies_count_for_nothing_at_the_exchange(backend: Backend) {
    let app = start(backend).await;
    let mut bruno = app.browser();
    let theirs = bruno.log_in(OIDC, "bruno-2").await;
    let mut ada = app.browser();
    let handed_off = hand_off(&mut ada).await;
    // The exchange needs no CSRF token, because it ignores cookies.
    let answer = bruno.send(exchange(&ada, &handed_off).header("origin", SPA)).await;
    assert!(answer.is(200).set_cookies().is_empty());
    assert_eq!(bruno.who().await["account"], theirs["account"], "the cookies are unchanged");
    bruno.post("/auth/refresh").await.is(200);
    let bearer = format!("Bearer {}", answer.json()["access_token"].as_str().unwrap());
    let who = Request::script("GET", bruno.url("/auth/session")).header("authorization", &bearer);
    assert_eq!(bruno.send(who).await.json()["account"]["name"], "Ada Example");
}

async fn h25_links_and_hand_offs_go_on_by_303(backend: Backend) {
    let app = start(backend).await;
    let mut browser = app.browser();
    hand_off(&mut browser).await.is(303);
    browser.log_in(OIDC, "ada-1").await;
    link(&mut browser).await.is(303);
    let resumed = browser.url("/auth/?return_to=/page");
    browser.visit(&resumed).await.is(303);
}
