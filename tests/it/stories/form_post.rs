//! Providers that use `form_post` (Apple). The browser sends no cookies with a cross-site POST, so a page of
//! Portico posts the answer again.

use portico_demo_idp::Endpoint;
use portico_demo_idp::knobs::AutoLogin;

use crate::testkit::{Answer, Backend, Browser, Form, Request, TestApp, on_both_databases};

on_both_databases!(
    q_ap_1_a_posted_answer_is_posted_once_more_and_signs_in,
    q_ap_1_a_form_that_never_finds_its_cookie_is_refused,
    q_ap_1_each_slot_takes_its_own_method_only,
    h19_a_form_and_a_query_never_mix,
    h11_what_is_posted_once_more_becomes_no_markup,
    q_ap_3_the_name_in_the_form_is_nobodys,
    a_posted_error_and_a_posted_mixup_end_the_login,
    a_link_and_a_hand_off_finish_by_form_too,
);

const SLOT: &str = "oidc/provider1";

const EVIL: &str = r#""><script>alert(1)</script><img src=x onerror=alert(1)>'&"#;

async fn app(backend: Backend) -> TestApp {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_RESPONSE_MODE", "form_post").start().await;
    app.realm(SLOT).knobs(|knobs| knobs.authorize.auto_login = AutoLogin::As("ada-1".to_owned()));
    app
}

/// Performs a login up to the provider's page. Returns its form.
async fn reach_form(browser: &mut Browser) -> Form {
    let authorization = browser.start(SLOT).await;
    assert!(authorization.query_pairs().any(|(name, value)| name == "response_mode" && value == "form_post"));
    Form::of(browser.visit(&authorization).await.is(200))
}

/// Asserts that the answer is the page that posts again. Returns its form.
fn interstitial(answer: &Answer) -> Form {
    assert!(answer.is(200).set_cookies().is_empty(), "the page sets no cookies: {answer:?}");
    let form = Form::of(answer);
    assert_eq!(form.field("portico_repost"), Some("1"));
    form
}

async fn q_ap_1_a_posted_answer_is_posted_once_more_and_signs_in(backend: Backend) {
    let app = app(backend).await;
    let mut browser = app.browser();
    let form = reach_form(&mut browser).await;
    let before = app.rows().await;
    let page = browser.send(form.sent_from_elsewhere()).await;
    let again = interstitial(&page);
    assert_eq!(again.action, form.action);
    for name in ["code", "state", "iss"] {
        assert_eq!(again.field(name), form.field(name), "{name}");
    }
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'nonce-", "form-action 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    before.assert_same(&app.rows().await);
    assert_eq!(app.database.count("spent_logins", "1 = 1").await, 0, "the login is not spent");
    assert_eq!(app.token_calls(SLOT), 0);

    let done = browser.send(again.request()).await;
    assert!(done.is(303).gives_session());
    assert_eq!(browser.who().await["idp"], SLOT);
    // The login can be completed only once.
    browser.send(again.request()).await.refused(400, "login_state_invalid");
    assert_eq!(app.token_calls(SLOT), 1);

    // If the browser sends the cookie, no second POST is needed.
    let mut other = app.browser();
    let form = reach_form(&mut other).await;
    assert!(other.send(form.request()).await.is(303).gives_session());
}

async fn q_ap_1_a_form_that_never_finds_its_cookie_is_refused(backend: Backend) {
    let app = app(backend).await;
    let mut browser = app.browser();
    let form = reach_form(&mut browser).await;
    let again = interstitial(&browser.send(form.sent_from_elsewhere()).await);
    let before = app.rows().await;
    // C01: another browser, and a browser that sends no cookie.
    let mut stranger = app.browser();
    stranger.send(again.request()).await.refused(400, "login_state_invalid");
    browser.send(again.sent_from_elsewhere()).await.refused(400, "login_state_invalid");
    let mut stateless = form.clone();
    stateless.fields.retain(|(name, _)| name != "state");
    browser.send(stateless.sent_from_elsewhere()).await.refused(400, "login_state_invalid");
    before.assert_same(&app.rows().await);
    assert_eq!(app.token_calls(SLOT), 0);
    assert!(
        browser.send(again.request()).await.is(303).gives_session(),
        "the browser that started the login can still complete it"
    );
}

async fn q_ap_1_each_slot_takes_its_own_method_only(backend: Backend) {
    let app = app(backend).await;
    let mut browser = app.browser();
    let form = reach_form(&mut browser).await;
    let mut query = form.action.clone();
    query.query_pairs_mut().extend_pairs(&form.fields);
    let refused = browser.callback(&query).await;
    refused.refused(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("POST"));
    assert!(browser.send(form.request()).await.is(303).gives_session(), "the login is not spent");

    let mut other = app.browser();
    let callback = other.reach_callback("oidc/provider2", "ada-1").await;
    let fields = callback.query_pairs().into_owned().collect();
    let mut action = callback.clone();
    action.set_query(None);
    let refused = other.send(Form { action: action.clone(), fields }.request()).await;
    refused.refused(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("GET"));
    assert!(other.callback(&callback).await.is(303).gives_session());
    // RFC 9110 section 10.2.1: `Allow` lists the methods of this callback in every 405 answer.
    for (url, allowed) in [(&form.action, "POST"), (&action, "GET")] {
        for method in ["HEAD", "PUT", "DELETE"] {
            let refused = browser.send(Request::new(method, url.clone())).await;
            assert_eq!((refused.status, refused.header("allow")), (405, Some(allowed)), "{method}");
        }
    }
}

async fn h19_a_form_and_a_query_never_mix(backend: Backend) {
    let app = app(backend).await;
    let mut browser = app.browser();
    let form = reach_form(&mut browser).await;
    let code = form.field("code").unwrap().to_owned();
    for doubled in ["code", "state", "iss"] {
        let mut twice = form.clone();
        twice.fields.push((doubled.to_owned(), "x".to_owned()));
        browser.send(twice.request()).await.refused(400, "bad_request");
    }
    let bare = Request::new("POST", form.action.clone()).header("accept", "text/html");
    browser.send(bare.clone().body("text/plain", "state=x")).await.refused(415, "unsupported_media_type");
    browser
        .send(bare.body("application/x-www-form-urlencoded", &"x".repeat(70_000)))
        .await
        .refused(413, "too_large");
    assert_eq!(app.token_calls(SLOT), 0);
    // The query of a posted answer is ignored.
    let mut queried = form.clone();
    queried.action.query_pairs_mut().append_pair("code", "other").append_pair("state", "other");
    assert!(browser.send(queried.request()).await.is(303).gives_session());
    let sent = app.realm(SLOT).last_request(Endpoint::Token).unwrap().form();
    assert!(sent.contains(&("code".to_owned(), code)), "{sent:?}");
}

async fn h11_what_is_posted_once_more_becomes_no_markup(backend: Backend) {
    let app = app(backend).await;
    let mut browser = app.browser();
    let mut form = reach_form(&mut browser).await;
    for name in ["code", "iss", "error", "state", "user", "id_token", "error_description"] {
        form.fields.retain(|(own, _)| own != name);
        form.fields.push((name.to_owned(), EVIL.to_owned()));
    }
    let page = browser.send(form.sent_from_elsewhere()).await;
    let again = interstitial(&page);
    assert_eq!(page.body.matches("<script").count(), 1, "{}", page.body);
    assert!(!page.body.contains("<img"), "{}", page.body);
    assert_eq!(again.field("state"), Some(EVIL), "the value is unchanged in the form");
    for ignored in ["user", "id_token", "error_description"] {
        assert_eq!(again.field(ignored), None);
    }
}

async fn q_ap_3_the_name_in_the_form_is_nobodys(backend: Backend) {
    let app = app(backend).await;
    app.local_account("Local Name", &[]).await;
    app.realm(SLOT).knobs(|knobs| {
        knobs.id_token.claims.remove("name");
        knobs.userinfo.fields.remove("name");
        let user = r#"{"name":{"firstName":"Local","lastName":"Name"},"email":"x@evil.example"}"#;
        knobs.authorize.extra = vec![("user".to_owned(), user.to_owned())];
    });
    let mut browser = app.browser();
    let form = reach_form(&mut browser).await;
    assert!(form.field("user").is_some());
    let again = interstitial(&browser.send(form.sent_from_elsewhere()).await);
    assert!(browser.send(again.request()).await.is(303).gives_session());
    let who = browser.who().await;
    assert_ne!(who["account"]["name"], "Local Name");
    assert_ne!(who["account"]["email"], "x@evil.example");
    assert_eq!(app.audited("account_adopted").await, 0);
    let mut honest = app.browser();
    app.be_honest(SLOT);
    app.realm(SLOT).knobs(|knobs| {
        knobs.authorize.auto_login = AutoLogin::NewPersonEachTime;
        knobs.id_token.claims.set("name", "Local Name");
    });
    let form = reach_form(&mut honest).await;
    assert!(honest.send(form.request()).await.is(303).gives_session());
    assert_eq!(app.audited("account_adopted").await, 1, "a name in the signed token is a verified source");
}

async fn a_posted_error_and_a_posted_mixup_end_the_login(backend: Backend) {
    let app = app(backend).await;
    for (field, value, status, code) in [
        ("error", "user_cancelled_authorize", 403, "idp_denied"),
        ("iss", "https://evil.example", 400, "login_mixup"),
        ("code", "made-up", 401, "code_rejected"),
    ] {
        let mut browser = app.browser();
        let mut form = reach_form(&mut browser).await;
        form.fields.retain(|(own, _)| own != field);
        form.fields.push((field.to_owned(), value.to_owned()));
        let again = interstitial(&browser.send(form.sent_from_elsewhere()).await);
        browser.send(again.request()).await.refused(status, code);
        browser.send(again.request()).await.refused(400, "login_state_invalid");
    }
}

async fn a_link_and_a_hand_off_finish_by_form_too(backend: Backend) {
    let builder = TestApp::on(backend).set("OIDC_PROVIDER1_RESPONSE_MODE", "form_post");
    let app = builder.set("SERVER_RETURN_ORIGINS", "https://spa.example").start().await;
    app.realm(SLOT).knobs(|knobs| knobs.authorize.auto_login = AutoLogin::As("ada-1".to_owned()));
    let mut browser = app.browser();
    browser.log_in("oauth2/provider1", "bruno-2").await;
    let location = browser.post(&format!("/auth/{SLOT}/link")).await.is(200).json()["location"].clone();
    let form = Form::of(&browser.visit(&location.as_str().unwrap().parse().unwrap()).await);
    let again = interstitial(&browser.send(form.sent_from_elsewhere()).await);
    browser.send(again.request()).await.is(303);
    let own = browser.fetch("/auth/identities").await.json();
    assert_eq!(own["identities"].as_array().unwrap().len(), 2, "{own}");

    let mut spa = app.browser();
    let mut url = spa.url(&format!("/auth/{SLOT}/login"));
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    url.query_pairs_mut()
        .append_pair("return_to", "https://spa.example/cb")
        .append_pair("code_challenge", challenge);
    let authorization = spa.visit(&url).await.location();
    let form = Form::of(&spa.visit(&authorization).await);
    let page = spa.send(form.sent_from_elsewhere()).await;
    // Browsers also apply `form-action` to the redirect after a form.
    assert!(
        page.header("content-security-policy").unwrap().contains("form-action 'self' https://spa.example")
    );
    let back = spa.send(interstitial(&page).request()).await.location();
    assert!(back.as_str().starts_with("https://spa.example/cb?code="), "{back}");
}
