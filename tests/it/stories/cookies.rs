//! The exact names and attributes of all cookies.

use crate::testkit::{Answer, Backend, Browser, TestApp, on_both_databases};

on_both_databases!(
    on_loopback_the_prefixes_are_gone,
    on_https_every_cookie_is_secure_and_bound_to_its_host,
    a_browser_keeps_at_most_seven_pending_logins,
    l05_a_pending_login_is_small_and_short_lived,
);

/// The name and the attributes of each cookie that an answer sets, sorted.
fn surface(answer: &Answer) -> Vec<String> {
    let mut cookies: Vec<_> = answer
        .set_cookies()
        .iter()
        .map(|set| {
            let mut attributes = set.attributes.clone();
            attributes.sort();
            let name = set.name.split_once("portico_login_").map_or(set.name.clone(), |(prefix, tag)| {
                assert!(tag.split_once('-').is_some_and(|(_, id)| id.len() == 16), "{tag}");
                format!("{prefix}portico_login_TAG")
            });
            format!("{name}{}; {}", if set.value.is_empty() { " (empty)" } else { "" }, attributes.join("; "))
        })
        .collect();
    cookies.sort();
    cookies
}

/// The cookies of the start of a login, a callback, a refresh and a logout.
async fn surfaces(browser: &mut Browser) -> [Vec<String>; 4] {
    let url = browser.url("/auth/oidc/provider1/login");
    let started = browser.visit(&url).await;
    let callback = browser.choose(&started.location(), "ada-1").await;
    let finished = browser.callback(&callback).await;
    let refreshed = browser.post("/auth/refresh").await;
    let left = browser.post("/auth/logout").await;
    [surface(&started), surface(&finished), surface(&refreshed), surface(&left)]
}

async fn on_loopback_the_prefixes_are_gone(backend: Backend) {
    let app = TestApp::start(backend).await;
    let [started, finished, refreshed, left] = surfaces(&mut app.browser()).await;
    assert_eq!(started, ["portico_login_TAG; HttpOnly; Max-Age=600; Path=/; SameSite=Lax"]);
    let session = [
        "portico_access; HttpOnly; Max-Age=900; Path=/; SameSite=Lax",
        "portico_csrf; Max-Age=2592000; Path=/; SameSite=Lax",
        "portico_refresh; HttpOnly; Max-Age=2592000; Path=/auth; SameSite=Lax",
    ];
    assert_eq!(without_login(&finished), session);
    assert_eq!(finished.len(), 4, "{finished:?}");
    assert_eq!(refreshed, session);
    assert_eq!(left.len(), 3);
    assert!(
        left.iter().all(|cookie| cookie.contains(" (empty)") && cookie.contains("Max-Age=0")),
        "{left:?}"
    );
}

async fn on_https_every_cookie_is_secure_and_bound_to_its_host(backend: Backend) {
    let app = TestApp::on(backend).public_url("https://login.example.com/sso").start().await;
    let mut browser = app.browser();
    let [started, finished, refreshed, left] = surfaces(&mut browser).await;
    assert_eq!(started, ["__Host-portico_login_TAG; HttpOnly; Max-Age=600; Path=/; SameSite=Lax; Secure"]);
    let session = [
        "__Host-portico_access; HttpOnly; Max-Age=900; Path=/; SameSite=Lax; Secure",
        "__Host-portico_csrf; Max-Age=2592000; Path=/; SameSite=Lax; Secure",
        "__Secure-portico_refresh; HttpOnly; Max-Age=2592000; Path=/sso/auth; SameSite=Lax; Secure",
    ];
    assert_eq!(without_login(&finished), session);
    assert_eq!(refreshed, session);
    assert_eq!(left.len(), 3);
    assert!(browser.jar.all().is_empty(), "{}", browser.jar);
}

/// All cookies except the login cookie. Asserts that the login cookie is deleted.
fn without_login(cookies: &[String]) -> Vec<String> {
    let (login, others): (Vec<_>, Vec<_>) =
        cookies.iter().cloned().partition(|cookie| cookie.contains("_login_"));
    assert!(login.len() == 1 && login[0].contains("Max-Age=0"), "{login:?}");
    others
}

async fn a_browser_keeps_at_most_seven_pending_logins(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let mut callbacks = Vec::new();
    let before = app.rows().await;
    for _ in 0..10 {
        callbacks.push(browser.reach_callback("oidc/provider1", "ada-1").await);
        assert!(browser.jar.logins().len() <= 7, "{}", browser.jar);
        app.advance(1);
    }
    before.assert_same(&app.rows().await);
    for callback in &callbacks[..3] {
        browser.callback(callback).await.refused(400, "login_state_invalid");
    }
    assert_eq!(app.token_calls("oidc/provider1"), 0);
    for callback in &callbacks[3..] {
        browser.callback(callback).await.is(303);
    }
}

async fn l05_a_pending_login_is_small_and_short_lived(backend: Backend) {
    let app = TestApp::start(backend).await;
    let long = format!("/{}", "r".repeat(511));
    let mut browser = app.browser();
    let authorization = browser.start_for("oidc/provider1", &long).await;
    let cookie = browser.jar.logins()[0].clone();
    assert!(cookie.name.len() + 1 + cookie.value.len() <= 800, "{}", cookie.value.len());
    let (started, _) = cookie.name.strip_prefix("portico_login_").unwrap().split_once('-').unwrap();
    assert_eq!(i64::from_str_radix(started, 16).unwrap(), app.now());
    let state = authorization.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    assert_eq!(state.len(), 43, "the state has 256 bits");
    assert!(!cookie.value.contains(&state));

    let callback = browser.choose(&authorization, "ada-1").await;
    browser.jar.never_forgets = true;
    app.advance(601);
    browser.callback(&callback).await.refused(400, "login_state_invalid");
    assert_eq!(app.token_calls("oidc/provider1"), 0);
    // The permitted case: exactly ten minutes.
    let authorization = browser.start("oidc/provider1").await;
    app.advance(600);
    let callback = browser.choose(&authorization, "ada-1").await;
    browser.callback(&callback).await.is(303);
}
