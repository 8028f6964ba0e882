//! Rate limits per client address, and the trust in proxy headers.

use serde_json::json;

use crate::testkit::{Backend, Browser, Request, TestApp, on_both_databases};

on_both_databases!(
    m33_each_kind_of_request_has_its_own_budget,
    m33_a_program_is_told_when_to_come_back_and_a_person_gets_a_page,
    m33_c15_clients_behind_a_trusted_proxy_are_told_apart,
    m33_new_settings_forgive_nobody,
    m33_a_proxy_that_nobody_trusts_is_not_held_to_account,
    h27_a_flood_of_new_people_through_one_slot_is_slowed_down,
    m10_a_flood_of_starts_writes_nothing_and_hinders_nobody,
);

const SLOT: &str = "oidc/provider1";

async fn app(backend: Backend, limit: &str) -> TestApp {
    TestApp::on(backend).set("SERVER_RATE_LIMIT", limit).start().await
}

fn behind(request: Request, client: &str) -> Request {
    request.header("x-forwarded-for", client)
}

fn requests(browser: &Browser) -> [Request; 4] {
    let body = json!({ "code": "x", "code_verifier": "x" });
    let token = json!({ "refresh_token": "x" });
    [
        Request::navigation(browser.url(&format!("/auth/{SLOT}/login"))),
        Request::navigation(browser.url(&format!("/auth/{SLOT}/callback?code=x&state=x"))),
        Request::script("POST", browser.url("/auth/refresh")).json(&token),
        Request::script("POST", browser.url("/auth/token")).json(&body),
    ]
}

async fn m33_each_kind_of_request_has_its_own_budget(backend: Backend) {
    let app = app(backend, "3").await;
    let mut browser = app.browser();
    for request in requests(&browser) {
        for _ in 0..3 {
            assert_ne!(browser.send(request.clone()).await.status, 429, "{request:?}");
        }
        browser.send(request).await.refused(429, "rate_limited");
    }
    // Routes without a rate limit still answer.
    for path in ["/auth/providers", "/auth/", "/.well-known/jwks.json"] {
        browser.fetch(path).await.is(200);
    }
    for _ in 0..10 {
        assert_eq!(browser.fetch("/auth/session").await.status, 401);
        assert_eq!(browser.fetch("/auth/verify").await.status, 401);
    }
    app.advance(20);
    for request in requests(&browser) {
        assert_ne!(
            browser.send(request.clone()).await.status,
            429,
            "one request is permitted after a third of a minute"
        );
        assert_eq!(browser.send(request).await.status, 429);
    }
    // Resuming a session counts as a refresh.
    app.advance(60);
    let mut person = app.browser();
    person.log_in(SLOT, "ada-1").await;
    let resume = person.url("/auth/?return_to=/x");
    for _ in 0..3 {
        person.visit(&resume).await.is(303);
    }
    person.visit(&resume).await.refused(429, "rate_limited");
}

async fn m33_new_settings_forgive_nobody(backend: Backend) {
    let mut app = app(backend, "3").await;
    let mut browser = app.browser();
    let request = requests(&browser)[1].clone();
    for _ in 0..3 {
        assert_ne!(browser.send(request.clone()).await.status, 429);
    }
    app.reload(&[("OIDC_PROVIDER1_DISPLAY_LABEL", Some("Another label"))]).await.unwrap();
    browser.send(request.clone()).await.refused(429, "rate_limited");
    app.reload(&[("SERVER_RATE_LIMIT", Some("4"))]).await.unwrap();
    assert_ne!(browser.send(request.clone()).await.status, 429, "the new limit permits one more request");
    browser.send(request).await.refused(429, "rate_limited");
}

async fn m33_a_program_is_told_when_to_come_back_and_a_person_gets_a_page(backend: Backend) {
    let app = app(backend, "2").await;
    let mut browser = app.browser();
    let before = app.rows().await;
    let [start, .., token] = requests(&browser);
    for _ in 0..2 {
        browser.send(start.clone()).await;
        browser.send(token.clone()).await;
    }
    let calls = app.counters(SLOT);
    let page = browser.send(start).await;
    page.refused(429, "rate_limited");
    assert!(
        page.header("content-type").unwrap().starts_with("text/html") && page.header("set-cookie").is_none()
    );
    assert_eq!(page.header("retry-after"), Some("30"));
    let problem = browser.send(token).await;
    assert_eq!(
        (problem.refused(429, "rate_limited").problem()["status"].clone(), problem.header("retry-after")),
        (json!(429), Some("30"))
    );
    assert_eq!(app.counters(SLOT).token, calls.token);
    before.assert_same(&app.rows().await);
}

async fn m33_c15_clients_behind_a_trusted_proxy_are_told_apart(backend: Backend) {
    let builder = TestApp::on(backend).set("SERVER_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8");
    let app = builder.set("SERVER_RATE_LIMIT", "2").start().await;
    let mut browser = app.browser();
    let start = requests(&browser)[0].clone();
    for client in ["192.0.2.1", "192.0.2.2", "6.6.6.6, 192.0.2.3, 10.9.9.9", "2001:db8::1"] {
        for _ in 0..2 {
            browser.send(behind(start.clone(), client)).await.is(303);
        }
        browser.send(behind(start.clone(), client)).await.refused(429, "rate_limited");
    }
    // Entries that the client itself puts before the proxy's entry are ignored.
    for forged in ["1.1.1.1, 192.0.2.3", "192.0.2.9, 192.0.2.3", "2001:db8::2"] {
        browser.send(behind(start.clone(), forged)).await.refused(429, "rate_limited");
    }
    // Audit events and sessions contain the client's address.
    let callback = browser
        .send(behind(Request::navigation(browser.url(&format!("/auth/{SLOT}/callback"))), "192.0.2.77"));
    callback.await.refused(400, "login_state_invalid");
    let mut person = app.browser();
    let authorization = person.send(behind(start, "192.0.2.55")).await.location();
    let back = person.choose(&authorization, "ada-1").await;
    person.send(behind(Request::navigation(back), "192.0.2.55")).await.is(303);
    assert_eq!(person.fetch("/auth/sessions").await.json()["sessions"][0]["ip"], "192.0.2.55");
    assert_eq!(
        app.database.count("audit_events", "event = 'login_succeeded' AND ip = '192.0.2.55'").await,
        1
    );
}

async fn m33_a_proxy_that_nobody_trusts_is_not_held_to_account(backend: Backend) {
    let app = app(backend, "2").await;
    let mut browser = app.browser();
    let start = requests(&browser)[0].clone();
    for _ in 0..10 {
        browser.send(behind(start.clone(), "192.0.2.1")).await.is(303);
    }
    // Without the header, the connection's own address is limited.
    for _ in 0..2 {
        browser.send(start.clone()).await.is(303);
    }
    browser.send(start).await.refused(429, "rate_limited");
    let mut person = app.browser();
    app.advance(60);
    person.log_in(SLOT, "ada-1").await;
    assert_eq!(
        person.fetch("/auth/sessions").await.json()["sessions"][0]["ip"],
        "127.0.0.1",
        "the header of an untrusted client is ignored"
    );
}

async fn h27_a_flood_of_new_people_through_one_slot_is_slowed_down(backend: Backend) {
    let app = app(backend, "20").await;
    app.local_account("root-admin", &["admin"]).await;
    app.realm(SLOT).knobs(|knobs| {
        knobs.authorize.auto_login = portico_demo_idp::knobs::AutoLogin::NewPersonEachTime;
        knobs.id_token.claims.set("name", "root-admin");
    });
    let mut refused = 0;
    for _ in 0..40 {
        let mut browser = app.browser();
        let answer = browser.visit(&browser.url(&format!("/auth/{SLOT}/login"))).await;
        if answer.status == 429 {
            refused += 1;
            continue;
        }
        let back = browser.visit(&answer.location()).await.location();
        browser.callback(&back).await.is(303);
    }
    assert_eq!(refused, 20);
    let accounts = app.accounts().await;
    assert_eq!(accounts.len(), 21, "twenty new accounts and the existing one");
    assert_eq!(app.audited("account_adopted").await, 0);
    assert_eq!(accounts.iter().filter(|account| account.roles == ["admin"]).count(), 1);
}

async fn m10_a_flood_of_starts_writes_nothing_and_hinders_nobody(backend: Backend) {
    let app = app(backend, "0").await;
    let before = app.rows().await;
    let mut waiting = app.browser();
    let callback = waiting.reach_callback(SLOT, "ada-1").await;
    for _ in 0..10 {
        let flood = (0..100).map(|_| async {
            let mut browser = app.browser();
            browser.visit(&browser.url(&format!("/auth/{SLOT}/login"))).await.is(303);
        });
        futures_util::future::join_all(flood).await;
    }
    before.assert_same(&app.rows().await);
    assert_eq!(app.database.count("spent_logins", "1 = 1").await, 0);
    assert!(waiting.callback(&callback).await.is(303).gives_session());
}
