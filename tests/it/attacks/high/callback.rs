//! H11, H18, H19: authorization responses and other input from the browser.

use portico_demo_idp::Endpoint;
use portico_demo_idp::knobs::StateKnob;
use url::Url;

use crate::testkit::{Backend, Request, TestApp, on_both_databases};

on_both_databases!(
    h18_the_state_is_checked_before_the_error,
    h18_q_x_23_errors_of_the_provider_are_mapped,
    h18_q_x_15_an_error_beside_a_code_wins,
    h19_a_parameter_that_comes_twice_is_refused,
    h19_nothing_of_the_request_is_passed_on,
    h11_nothing_from_outside_becomes_markup,
);

const SLOT: &str = "oidc/provider1";

/// The callback URL of the slot with this query.
fn callback(app: &TestApp, query: &str) -> Url {
    app.browser().url(&format!("/auth/{SLOT}/callback{query}"))
}

async fn h18_the_state_is_checked_before_the_error(backend: Backend) {
    let app = TestApp::start(backend).await;
    let before = app.rows().await;
    for query in [
        "",
        "?error=access_denied",
        "?error=server_error&error_description=CANARY",
        "?error=access_denied&state=",
        "?error=access_denied&state=x",
        "?error=access_denied&state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "?code=x",
        "?code=x&state=x",
        "?state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        let answer = app.browser().callback(&callback(&app, query)).await;
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        answer.refused(400, "login_state_invalid");
        assert!(!answer.body.contains("CANARY") && !answer.body.contains("access_denied"));
    }
    before.assert_same(&app.rows().await);
    assert_eq!(app.database.count("spent_logins", "1 = 1").await, 0);
    // An authorization response without `state`.
    app.realm(SLOT).knobs(|knobs| knobs.authorize.state = StateKnob::Drop);
    app.browser().try_to_log_in(SLOT, "ada-1").await.refused(400, "login_state_invalid");
    assert_eq!(app.token_calls(SLOT), 0);
}

async fn h18_q_x_23_errors_of_the_provider_are_mapped(backend: Backend) {
    let app = TestApp::start(backend).await;
    let before = app.rows().await;
    for (error, status, code) in [
        ("access_denied", 403, "idp_denied"),
        ("login_required", 403, "idp_denied"),
        ("consent_required", 403, "idp_denied"),
        ("interaction_required", 403, "idp_denied"),
        ("account_selection_required", 403, "idp_denied"),
        ("unauthorized_client", 403, "idp_denied"),
        ("something_made_up<script>", 403, "idp_denied"),
        ("server_error", 502, "idp_bad_response"),
        ("temporarily_unavailable", 502, "idp_bad_response"),
    ] {
        for slot in [SLOT, "oauth2/provider1"] {
            app.realm(slot).knobs(|knobs| knobs.authorize.error = Some(error.to_owned()));
            let mut browser = app.browser();
            browser.jar.never_forgets = true;
            let back = browser.reach_callback(slot, "ada-1").await;
            let answer = browser.callback(&back).await;
            answer.refused(status, code);
            assert!(
                !answer.body.contains(error) && !answer.body.contains("did not sign anyone in"),
                "{answer:?}"
            );
            browser.callback(&back).await.refused(400, "login_state_invalid");
        }
    }
    before.assert_same(&app.rows().await);
    assert_eq!(app.token_calls(SLOT) + app.token_calls("oauth2/provider1"), 0);
}

async fn h18_q_x_15_an_error_beside_a_code_wins(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.realm(SLOT)
        .knobs(|knobs| knobs.authorize.extra = vec![("error".to_owned(), "access_denied".to_owned())]);
    app.browser().try_to_log_in(SLOT, "ada-1").await.refused(403, "idp_denied");
    assert_eq!(app.token_calls(SLOT), 0);
    app.be_honest(SLOT);
    app.browser().log_in(SLOT, "ada-1").await;
}

async fn h19_a_parameter_that_comes_twice_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let before = app.rows().await;
    let mut browser = app.browser();
    let honest = browser.reach_callback(SLOT, "ada-1").await;
    let query = honest.query().unwrap().to_owned();
    for name in ["state", "code", "iss", "error"] {
        let pair =
            query.split('&').find(|pair| pair.starts_with(name)).unwrap_or("error=access_denied").to_owned();
        let first = format!("%{:02x}{}", name.as_bytes()[0], &name[1..]);
        let mut queries = vec![
            format!("{query}&{name}=x"),
            format!("{name}=x&{query}"),
            format!("{query}&{pair}"),
            format!("{query}&{name}="),
            format!("{query}&{first}=x"),
        ];
        if name == "error" {
            queries = vec![format!("{query}&{pair}&error=x"), format!("error=x&{query}&{pair}")];
        }
        for query in queries {
            let answer = browser.clone().callback(&callback(&app, &format!("?{query}"))).await;
            assert_eq!(answer.status, 400, "{query}: {answer:?}");
            answer.refused(400, "bad_request");
        }
    }
    before.assert_same(&app.rows().await);
    assert_eq!(app.token_calls(SLOT), 0);
    // Names with brackets are other parameters, and the body of a GET request is ignored.
    let odd = callback(&app, &format!("?{query}&state[]=x&code[0]=y"));
    let with_body =
        Request::navigation(odd).body("application/x-www-form-urlencoded", "state=x&code=y&error=z");
    browser.send(with_body).await.is(303);
}

/// Parameters of an authorization request that a login request must not set.
const AUTHORIZATION_PARAMETERS: [&str; 17] = [
    "redirect_uri",
    "scope",
    "prompt",
    "login_hint",
    "claims",
    "request",
    "request_uri",
    "client_id",
    "state",
    "nonce",
    "code_challenge",
    "response_type",
    "response_mode",
    "acr_values",
    "max_age",
    "domain_hint",
    "Redirect_URI",
];

async fn h19_nothing_of_the_request_is_passed_on(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut honest = app.browser();
    let names = |url: &Url| url.query_pairs().map(|(name, _)| name.into_owned()).collect::<Vec<_>>();
    let expected = names(&honest.start(SLOT).await);
    for name in AUTHORIZATION_PARAMETERS {
        let mut browser = app.browser();
        let mut url = browser.url(&format!("/auth/{SLOT}/login"));
        url.query_pairs_mut().append_pair(name, "CANARY");
        let sent = browser.visit(&url).await;
        // `code_challenge` is a parameter of the login path; its value is invalid. The others are ignored.
        if name == "code_challenge" {
            sent.refused(400, "bad_request");
            continue;
        }
        let sent = sent.location();
        assert_eq!(names(&sent), expected, "{name}");
        assert!(!sent.as_str().contains("CANARY"), "{sent}");
    }
    app.browser().log_in(SLOT, "ada-1").await;
    let token = app.realm(SLOT).last_request(Endpoint::Token).unwrap();
    let mut sent: Vec<_> = token.form().into_iter().map(|(name, _)| name).collect();
    sent.sort();
    assert_eq!(sent, ["code", "code_verifier", "grant_type", "redirect_uri"]);
}

async fn h11_nothing_from_outside_becomes_markup(backend: Backend) {
    let app = TestApp::start(backend).await;
    let evil = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";
    let mut browser = app.browser();
    app.realm(SLOT).knobs(|knobs| {
        knobs.authorize.extra = vec![
            ("error_description".to_owned(), evil.to_owned()),
            ("error_uri".to_owned(), evil.to_owned()),
        ];
    });
    let authorization = browser.start(SLOT).await;
    let back = browser.choose(&authorization, "nobody").await;
    let mut answers = vec![browser.callback(&back).await];
    let mut url = browser.url("/auth/");
    url.query_pairs_mut().append_pair("return_to", &format!("/{evil}"));
    answers.push(browser.visit(&url).await);
    let mut url = browser.url("/auth/nothing");
    url.query_pairs_mut().append_pair("x", evil);
    answers.push(browser.visit(&url).await);
    let mut url = browser.url("/auth/");
    url.set_path(&format!("/auth/{evil}/{evil}/login"));
    answers.push(browser.visit(&url).await);
    for answer in answers {
        assert!(answer.body.contains("<html"), "the response is a page: {answer:?}");
        for active in ["<script", "<img", "onerror="] {
            assert!(!answer.body.contains(active), "{active}: {answer:?}");
        }
    }
}
