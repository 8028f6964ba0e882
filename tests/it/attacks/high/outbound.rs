//! H06, H07, H08, H10: hostile responses of a provider.

use std::time::{Duration, Instant};

use portico_demo_idp::knobs::{Answer, Body, Knobs};
use portico_demo_idp::{DemoIdp, Endpoint, IdpConfig, Person};
use serde_json::json;

use crate::testkit::{Backend, Program, TestApp, on_both_databases, slot_variables};

on_both_databases!(
    h06_no_endpoint_is_followed_elsewhere,
    h06_m23_no_address_in_a_claim_is_fetched,
    h07_unknown_keys_do_not_flood_the_key_set,
    h08_oversized_answers_are_cut_off,
    h08_a_slow_answer_meets_a_deadline_and_nobody_else_waits,
    h08_every_endpoint_meets_its_deadline_however_it_is_slow,
    h08_a_request_that_never_ends_is_ended_and_nobody_else_waits,
    h10_what_a_provider_says_stays_in_one_log_line_and_no_header,
    m04_a_document_that_says_one_thing_twice_is_refused,
    m36_a_token_of_an_unknown_type_is_refused,
);

/// Selects the response settings of an endpoint.
type EndpointAnswer = fn(&mut Knobs) -> &mut Answer;

/// Makes a response slow.
type Slowness = fn(&mut Answer);

/// The endpoints that Portico calls itself, by name.
const ENDPOINTS: [(&str, EndpointAnswer); 4] = [
    ("discovery", |knobs| &mut knobs.discovery.answer),
    ("jwks", |knobs| &mut knobs.jwks.answer),
    ("token", |knobs| &mut knobs.token.answer),
    ("userinfo", |knobs| &mut knobs.userinfo.answer),
];

/// An application that has not called its providers yet.
async fn fresh(backend: Backend) -> TestApp {
    TestApp::on(backend)
        .slots(&["oidc/provider1", "oidc/provider2", "oauth2/provider1"])
        .set("OIDC_PROVIDER1_USERINFO", "always")
        .start()
        .await
}

/// The last response of a login, which may already fail at its start.
async fn end_of_login(app: &TestApp, slot: &str) -> crate::testkit::Answer {
    let mut browser = app.browser();
    let start = browser.url(&format!("/auth/{slot}/login"));
    let started = browser.visit(&start).await;
    if started.status != 303 {
        return started;
    }
    let callback = browser.choose(&started.location(), "ada-1").await;
    browser.callback(&callback).await
}

async fn h06_no_endpoint_is_followed_elsewhere(backend: Backend) {
    for (name, endpoint) in ENDPOINTS {
        let app = fresh(backend).await;
        let canary = app.idp.canary_url();
        let statuses: &[u16] = if name == "discovery" { &[302] } else { &[301, 302, 303, 307, 308] };
        for status in statuses {
            app.realm("oidc/provider1")
                .knobs(|knobs| endpoint(knobs).redirect = Some((*status, canary.clone())));
            let answer = end_of_login(&app, "oidc/provider1").await;
            answer.refused(502, "idp_bad_response");
            assert_eq!(app.idp.canary_calls(), 0, "{name} {status}");
        }
        app.be_honest("oidc/provider1");
        app.advance(61);
        app.browser().log_in("oidc/provider1", "ada-1").await;
    }
    let app = fresh(backend).await;
    let canary = app.idp.canary_url();
    for endpoint in [ENDPOINTS[2].1, ENDPOINTS[3].1] {
        app.realm("oauth2/provider1").knobs(|knobs| endpoint(knobs).redirect = Some((307, canary.clone())));
        end_of_login(&app, "oauth2/provider1").await.refused(502, "idp_bad_response");
        app.be_honest("oauth2/provider1");
    }
    assert_eq!(app.idp.canary_calls(), 0);
}

async fn h06_m23_no_address_in_a_claim_is_fetched(backend: Backend) {
    let app = fresh(backend).await;
    let canary = app.idp.canary_url();
    for slot in ["oidc/provider1", "oidc/provider2", "oauth2/provider1"] {
        app.realm(slot).knobs(|knobs| {
            for document in [&mut knobs.id_token.claims, &mut knobs.userinfo.fields] {
                for name in ["picture", "profile", "website", "jwks_uri", "@odata.nextLink"] {
                    document.set(name, canary.clone());
                }
                document
                    .set("_claim_names", json!({ "groups": "src1" }))
                    .set("_claim_sources", json!({ "src1": { "endpoint": canary.clone() } }))
                    .remove("groups");
            }
        });
        app.browser().log_in(slot, "ada-1").await;
    }
    assert_eq!(app.idp.canary_calls(), 0);
}

async fn h07_unknown_keys_do_not_flood_the_key_set(backend: Backend) {
    let app = TestApp::start(backend).await;
    let realm = app.realm("oidc/provider1");
    app.browser().log_in("oidc/provider1", "ada-1").await;
    let before = realm.calls(Endpoint::Jwks);
    for number in 0..20 {
        realm.knobs(|knobs| {
            knobs.id_token.header.set("kid", format!("random-{number}"));
        });
        app.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(401, "idp_token_invalid");
    }
    let asked = realm.calls(Endpoint::Jwks) - before;
    assert!(asked <= 1, "the key set is fetched {asked} times within a minute");
    app.be_honest("oidc/provider1");
    app.browser().log_in("oidc/provider1", "ada-1").await;
    realm.rotate_keys(portico_demo_idp::OldKeys::Withdraw).unwrap();
    app.advance(61);
    app.browser().log_in("oidc/provider1", "ada-1").await;
}

async fn h08_oversized_answers_are_cut_off(backend: Backend) {
    for (name, endpoint) in ENDPOINTS {
        let app = fresh(backend).await;
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        for (what, body) in [
            ("endless", Body::Endless),
            ("two megabytes", Body::Spaces(2 << 20)),
            ("deep", Body::from(deep.as_str())),
        ] {
            app.realm("oidc/provider1").knobs(|knobs| endpoint(knobs).body = Some(body));
            let started = Instant::now();
            let answer = end_of_login(&app, "oidc/provider1").await;
            assert_eq!(answer.status, 502, "{name} {what}: {answer:?}");
            assert!(
                started.elapsed() < Duration::from_secs(9),
                "{name} {what}: the size limit must act before the deadline"
            );
            assert!(!answer.gives_session());
        }
        app.browser().log_in("oidc/provider2", "ada-1").await;
    }
    // A response just below the size limit is accepted.
    let app = fresh(backend).await;
    app.realm("oidc/provider1").knobs(|knobs| {
        knobs.userinfo.fields.set("filler", "x".repeat(900_000));
    });
    app.browser().log_in("oidc/provider1", "ada-1").await;
}

async fn h08_a_slow_answer_meets_a_deadline_and_nobody_else_waits(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.realm("oauth2/provider1").knobs(|knobs| {
        knobs.token.answer.body =
            Some(Body::Drip { bytes: vec![b' '; 10_000], every: Duration::from_millis(100) });
    });
    let started = Instant::now();
    let mut waiting = app.browser();
    let callback = waiting.reach_callback("oauth2/provider1", "ada-1").await;
    let slow = async {
        let answer = waiting.callback(&callback).await;
        (answer, started.elapsed())
    };
    let others = async {
        for _ in 0..5 {
            app.browser().log_in("oidc/provider1", "ada-1").await;
        }
        started.elapsed()
    };
    let ((answer, after), others) = futures_util::join!(slow, others);
    answer.refused(504, "idp_timeout");
    assert!(after < Duration::from_secs(12), "the deadline of the whole response is ten seconds: {after:?}");
    assert!(others < after, "{others:?}");
}

/// An endpoint sends nothing, or one byte at a time.
///
/// The login ends within the deadline of one call, and logins of another slot are not delayed.
async fn h08_every_endpoint_meets_its_deadline_however_it_is_slow(backend: Backend) {
    let silent = |answer: &mut Answer| answer.delay = Some(Duration::from_secs(40));
    let dripping = |answer: &mut Answer| {
        answer.body = Some(Body::Drip { bytes: vec![b' '; 10_000], every: Duration::from_millis(100) });
    };
    let ways: [(&str, Slowness); 2] = [("silent", silent), ("dripping", dripping)];
    let all = ENDPOINTS.into_iter().flat_map(|endpoint| ways.map(|way| (endpoint, way)));
    let logins = all.map(|((name, endpoint), (how, slow))| async move {
        let app = fresh(backend).await;
        app.realm("oidc/provider1").knobs(|knobs| slow(endpoint(knobs)));
        let started = Instant::now();
        let (answer, ()) = futures_util::join!(end_of_login(&app, "oidc/provider1"), async {
            app.browser().log_in("oidc/provider2", "ada-1").await;
            assert!(started.elapsed() < Duration::from_secs(8), "{name} {how}: the other slot waited");
        });
        assert_eq!(answer.status, 504, "{name} {how}: {answer:?}");
        assert!(started.elapsed() < Duration::from_secs(14), "{name} {how}: {:?}", started.elapsed());
        assert!(!answer.gives_session());
    });
    futures_util::future::join_all(logins).await;
}

/// Portico's own listener gets idle connections, and one request that sends its headers without end.
async fn h08_a_request_that_never_ends_is_ended_and_nobody_else_waits(backend: Backend) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let app = TestApp::start(backend).await;
    let to = app.browser().url("/").socket_addrs(|| None).unwrap()[0];
    let connect = || async { tokio::net::TcpStream::connect(to).await.unwrap() };
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(connect().await);
    }
    let mut dripping = connect().await;
    let started = Instant::now();
    let drip = async {
        dripping.write_all(b"GET /auth/ HTTP/1.1\r\nHost: x\r\n").await.unwrap();
        for _ in 0..100 {
            if dripping.write_all(b"X-A: b\r\n").await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let mut received = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(1), dripping.read_to_end(&mut received)).await;
        (started.elapsed(), String::from_utf8_lossy(&received).into_owned())
    };
    let others = async {
        for _ in 0..5 {
            app.browser().log_in("oidc/provider1", "ada-1").await;
        }
        started.elapsed()
    };
    let ((ended, response), others) = futures_util::join!(drip, others);
    assert!(ended < Duration::from_secs(12), "the connection was open for {ended:?}: {response}");
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 408"), "{response}");
    assert!(others < Duration::from_secs(5), "{others:?}");
    drop(crowd);
}

async fn h10_what_a_provider_says_stays_in_one_log_line_and_no_header(backend: Backend) {
    const ODD: &str = "x\r\nSet-Cookie: portico_access=evil\r\n\u{1b}[31m\u{2028}";
    for format in ["json", "text"] {
        let database = backend.fresh().await;
        let program = Program::configured()
            .set("PORTICO_STORAGE_URL", &database.url)
            .set("PORTICO_LOG_FORMAT", format)
            .set("PORTICO_LOG_LEVEL", "trace");
        let idp = DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
        let slots = ["oidc/provider1".to_owned()];
        let service = program.set_all(slot_variables(&idp, &slots)).serve().await;
        let realm = idp.oidc("provider1").unwrap();
        realm.set_person(Person { groups: vec![ODD.to_owned()], ..Person::new("odd", ODD) });
        let mut browser = service.browser();
        browser.log_in("oidc/provider1", "odd").await;
        assert!(browser.cookies_seen.iter().all(|set| set.value != "evil"));
        realm.knobs(|knobs| {
            knobs.authorize.error = Some(ODD.to_owned());
            knobs.authorize.extra = vec![("error_description".to_owned(), "d".repeat(5000))];
        });
        let answer = service.browser().try_to_log_in("oidc/provider1", "odd").await;
        answer.refused(403, "idp_denied");
        assert!(answer.set_cookies().iter().all(|set| set.value.is_empty()));
        let (code, log) = service.terminate();
        assert_eq!(code, 0);
        assert_one_event_per_line(&log, format == "json");
    }
}

/// Each line of the log is one event, and the provider's text is in one of them.
fn assert_one_event_per_line(log: &str, json: bool) {
    assert!(log.contains("a login was refused") && log.contains("portico_access=evil"), "{log}");
    assert!(!log.contains(['\r', '\u{1b}', '\u{2028}']), "{log}");
    for line in log.lines() {
        if json {
            let event = serde_json::from_str::<serde_json::Value>(line);
            assert!(event.is_ok_and(|event| event["timestamp"].is_string()), "{line}");
        } else {
            assert!(line.starts_with("20"), "a line begins with its time: {line}");
        }
    }
}

async fn m04_a_document_that_says_one_thing_twice_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let realm = app.realm("oauth2/provider1");
    for (endpoint, body) in [
        (ENDPOINTS[3].1, r#"{"sub":"ada-1","sub":"bruno-2","name":"x"}"#),
        (ENDPOINTS[2].1, r#"{"access_token":"a","token_type":"Bearer","access_token":"b"}"#),
    ] {
        realm.knobs(|knobs| endpoint(knobs).body = Some(Body::from(body)));
        let answer = end_of_login(&app, "oauth2/provider1").await;
        assert_eq!(answer.status, 502, "{body}: {answer:?}");
        app.be_honest("oauth2/provider1");
    }
    app.browser().log_in("oauth2/provider1", "ada-1").await;
}

async fn m36_a_token_of_an_unknown_type_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let realm = app.realm("oauth2/provider1");
    for kind in [json!("mac"), json!("DPoP"), json!(7), json!("")] {
        realm.knobs(|knobs| {
            knobs.token.fields.set("token_type", kind.clone());
        });
        let answer = end_of_login(&app, "oauth2/provider1").await;
        assert_eq!(answer.status, 502, "{kind}: {answer:?}");
        answer.refused(502, "idp_bad_response");
    }
    for kind in ["bearer", "BEARER", "Bearer"] {
        realm.knobs(|knobs| {
            knobs.token.fields.set("token_type", kind).set("expires_in", -5);
        });
        app.browser().log_in("oauth2/provider1", "ada-1").await;
    }
}
