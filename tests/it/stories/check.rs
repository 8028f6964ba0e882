//! The command `portico check`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use portico_core::clock::Clock;
use portico_core::public_url::PublicUrl;
use portico_core::seal::Seals;
use portico_demo_idp::{Client, ClientAuth, DemoIdp, IdpConfig};
use portico_http::proxy_probe::ProbeRequest;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use crate::testkit::{Program, slot_variables};

const SLOT: &str = "oidc/provider1";

/// A program and a provider at which it is registered.
fn site() -> (Program, DemoIdp) {
    let program = Program::configured();
    let idp = DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
    let slots = [SLOT, "oauth2/provider1"].map(str::to_owned);
    (program.set_all(slot_variables(&idp, &slots)), idp)
}

fn live(program: &Program, code: i32) -> Value {
    let output = program.run(&["check", "--live", "--json"]);
    output.exits(code);
    assert!(output.took < Duration::from_secs(6), "{:?}", output.took);
    assert!(!program.sqlite_exists(), "the command opens no store");
    serde_json::from_str(&output.stdout).unwrap()
}

/// The verdict and the message of one check of one slot.
fn finding<'a>(report: &'a Value, slot: &str, check: &str) -> (&'a str, &'a str) {
    let slots = report["slots"].as_array().unwrap();
    let checks = slots.iter().find(|one| one["name"] == slot).unwrap()["checks"].as_array().unwrap();
    let one =
        checks.iter().find(|one| one["check"] == check).unwrap_or_else(|| panic!("no {check}: {report}"));
    (one["verdict"].as_str().unwrap(), one["message"].as_str().unwrap())
}

/// The checks of a slot with the verdict `bad`.
fn bad(report: &Value, slot: &str) -> Vec<String> {
    let slots = report["slots"].as_array().unwrap();
    let checks = slots.iter().find(|one| one["name"] == slot).unwrap()["checks"].as_array().unwrap();
    let bad = checks.iter().filter(|one| one["verdict"] == "bad");
    bad.map(|one| one["check"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn right_settings_are_called_right() {
    let (program, _idp) = site();
    let quiet = program.run(&["check", "--json"]).json();
    assert_eq!((&quiet["ok"], &quiet["mistakes"]), (&json!(true), &json!([])));
    let public = program.variable("PORTICO_PUBLIC_URL").to_owned();
    assert_eq!(quiet["slots"][0]["redirect_uri"], format!("{public}/auth/{SLOT}/callback"));
    assert_eq!(quiet["slots"][0]["checks"], json!([]));
    assert!(quiet["warnings"].as_array().unwrap().iter().any(|one| one.as_str().unwrap().contains(SLOT)));
    let report = live(&program, 0);
    assert_eq!(report["ok"], true);
    for check in [
        "dns",
        "discovery",
        "issuer",
        "jwks",
        "algorithms",
        "pkce",
        "auth_method",
        "redirect_uri",
        "client_secret",
    ] {
        assert_eq!(finding(&report, SLOT, check).0, "ok", "{check}: {report}");
    }
    assert_eq!(finding(&report, SLOT, "tls").0, "unknown", "there is no TLS with plain http on loopback");
    for check in ["dns", "client_secret"] {
        assert_eq!(finding(&report, "oauth2/provider1", check).0, "ok", "{check}: {report}");
    }
    let text = program.run(&["check", "--live"]);
    text.exits(0);
    assert!(text.stdout.contains(&format!("register: {public}/auth/{SLOT}/callback")), "{text:?}");
    for output in [&text.stdout, &text.stderr, &report.to_string()] {
        assert!(!output.contains(program.variable("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET")));
    }
}

#[test]
fn each_fault_has_a_verdict_of_its_own() {
    let (program, idp) = site();
    let realm = idp.oidc("provider1").unwrap();
    let client = (*realm.first_client().unwrap()).clone();
    realm.put_client(Client { auth: ClientAuth::basic("another secret"), ..client.clone() });
    let report = live(&program, 1);
    assert_eq!(bad(&report, SLOT), ["client_secret"]);
    assert!(finding(&report, SLOT, "client_secret").1.contains("invalid_client"));
    assert_eq!(
        bad(&report, "oauth2/provider1"),
        Vec::<String>::new(),
        "the problems of one slot do not affect the other"
    );
    realm.put_client(Client {
        redirect_uris: vec!["https://elsewhere.example/cb".to_owned()],
        ..client.clone()
    });
    let report = live(&program, 1);
    assert_eq!(bad(&report, SLOT), ["redirect_uri"]);
    assert!(finding(&report, SLOT, "redirect_uri").1.contains(&format!("/auth/{SLOT}/callback")));
    realm.put_client(client);
    realm.knobs(|knobs| {
        knobs.discovery.fields.set("issuer", "https://renamed.example");
    });
    let report = live(&program, 1);
    assert_eq!(bad(&report, SLOT), ["issuer"]);
    assert!(finding(&report, SLOT, "issuer").1.contains("renamed.example"));
    realm.reset_knobs();
    realm.knobs(|knobs| {
        knobs.discovery.fields.set("code_challenge_methods_supported", json!(["plain"]));
    });
    assert_eq!(bad(&live(&program, 1), SLOT), ["pkce"]);
    realm.reset_knobs();
    realm.knobs(|knobs| knobs.jwks.replace = Some(json!({ "keys": [] })));
    assert_eq!(bad(&live(&program, 1), SLOT), ["jwks"]);
    realm.reset_knobs();
    assert_eq!(live(&program, 0)["ok"], true);
}

/// A TLS server on loopback with a certificate valid for these years. It sends no answers.
fn tls_server(years: (i32, i32)) -> (u16, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(20).flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ =
                stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (port, certificate.pem())
}

#[test]
fn certificates_are_told_apart() {
    for (years, trusted, verdict, words) in [
        ((2020, 2021), true, "bad", "expired"),
        ((2020, 2090), false, "bad", "ca_bundle"),
        ((2020, 2090), true, "ok", "valid"),
    ] {
        let (port, pem) = tls_server(years);
        let mut program = Program::configured()
            .set("PORTICO_SECURITY_OIDC_PROVIDERS", "provider1")
            .set("PORTICO_OIDC_PROVIDER1_CLIENT_ID", "portico")
            .set("PORTICO_OIDC_PROVIDER1_DISCOVERY_URL", &format!("https://localhost:{port}"))
            .file("ca.pem", &pem);
        if trusted {
            program = program.set("PORTICO_OIDC_PROVIDER1_CA_BUNDLE", "ca.pem");
        }
        let report = live(&program, 1);
        let (own, message) = finding(&report, SLOT, "tls");
        assert_eq!(own, verdict, "{years:?}: {message}");
        assert!(message.contains(words), "{message}");
        assert_eq!(finding(&report, SLOT, "discovery").0, "bad");
        assert_eq!(finding(&report, SLOT, "client_secret").0, "unknown");
    }
}

#[test]
fn a_provider_that_says_nothing_holds_nobody_up() {
    let (program, idp) = site();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = program
        .set("PORTICO_OIDC_PROVIDER1_DISCOVERY_URL", &format!("http://{}/", silent.local_addr().unwrap()));
    let report = live(&program, 1);
    assert_eq!(finding(&report, SLOT, "discovery").0, "bad");
    assert_eq!(finding(&report, "oauth2/provider1", "client_secret").0, "ok");
    drop(idp);
    let report = live(&program, 1);
    assert!(["bad", "unknown"].contains(&finding(&report, "oauth2/provider1", "client_secret").0));
}

#[test]
fn mistakes_are_told_in_both_forms() {
    let program = Program::configured().set("PORTICO_SECURITY_OIDC_PROVIDERS", "provider9");
    let output = program.run(&["check", "--json"]);
    output.exits(78);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["mistakes"][0]["variable"], "PORTICO_SECURITY_OIDC_PROVIDERS");
    program.run(&["check"]).exits(78).complains(&["PORTICO_SECURITY_OIDC_PROVIDERS", "provider9"]);
}

#[tokio::test]
async fn the_public_url_is_looked_at_from_outside() {
    let (program, _idp) = site();
    let service = program.serve().await;
    let output = service.program.run(&["check", "--live", "--json"]);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let verdicts: Vec<_> = report["public_url"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["check"].as_str().unwrap(), one["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("dns", "ok"),
            ("tls", "unknown"),
            ("reachable", "ok"),
            ("header_size", "ok"),
            ("cookies", "ok"),
            ("forwarded", "unknown"),
        ]
    );
}

#[tokio::test]
async fn nobody_else_looks_into_the_mirror() {
    let (program, _idp) = site();
    let service = program.serve().await;
    let mut browser = service.browser();
    let key = |byte: u8| Seals::new(&[byte; 32], &[]);
    let public = PublicUrl::parse(service.program.variable("PORTICO_PUBLIC_URL")).unwrap();
    let foreign = ProbeRequest::new(&key(7), &public, Clock::System.now());
    for question in ["", "?question=", "?question=x", &format!("?question={}", foreign.as_str())] {
        let answer = browser.fetch(&format!("/auth/mirror{question}")).await;
        answer.refused(404, "not_found");
        assert!(answer.headers.get("set-cookie").is_none(), "{question}");
    }
}
