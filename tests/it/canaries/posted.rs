//! H09, L08: a code that a provider posts through the browser, and a client assertion that Portico posts.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portico_demo_idp::knobs::AutoLogin;
use portico_demo_idp::{ClientAuth, DemoIdp, Endpoint, IdpConfig, Realm};

use super::{Canaries, Reach};
use crate::testkit::{Backend, Browser, Form, Program, Service, on_both_databases, slot_variables};

on_both_databases!(h09_l08_neither_posted_codes_nor_signed_statements_are_written_down);

const SLOT: &str = "oidc/provider1";

async fn h09_l08_neither_posted_codes_nor_signed_statements_are_written_down(backend: Backend) {
    let database = backend.fresh().await;
    let (key, public) = generate_client_key();
    let (service, realm, _idp) = serve_with_client_key(&database.url, &key, public).await;

    let mut canaries = Canaries::default();
    for line in [&key[..40], &key] {
        canaries.add(Reach::Provider, "the private key", line);
    }
    let mut browser = service.browser();
    for turn in 0..2 {
        log_in_by_form(&mut browser, &realm, &mut canaries, turn).await;
    }
    canaries.of_browser(&browser);
    canaries.are_not_in_tables(&database.everything().await);
    for (path, content) in service.files() {
        let text = format!("{}\n{}", String::from_utf8_lossy(&content), hex::encode(&content));
        canaries.are_not_in(&path.display().to_string(), &text, &[Reach::Provider, Reach::Browser]);
    }
    for words in [&["config", "--json"][..], &["audit", "--json"]] {
        let output = service.program.run(words);
        canaries.are_not_in(&format!("{words:?}"), &output.stdout, &[Reach::Provider, Reach::Browser]);
    }
    let (_, log) = service.terminate();
    assert!(log.contains("TRACE"), "{log}");
    canaries.are_not_in_log(&log);
}

/// A new client key: the private key as base64 of PKCS#8, and the public key.
fn generate_client_key() -> (String, Vec<u8>) {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    (STANDARD.encode(pkcs8.as_ref()), pair.public_key().as_ref().to_vec())
}

/// A service whose client authenticates with this key and whose provider answers with `form_post`.
async fn serve_with_client_key(storage: &str, key: &str, public: Vec<u8>) -> (Service, Arc<Realm>, DemoIdp) {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    let program = Program::configured()
        .set("PORTICO_STORAGE_URL", storage)
        .set("PORTICO_OIDC_PROVIDER1_RESPONSE_MODE", "form_post")
        .set("PORTICO_OIDC_PROVIDER1_CLIENT_KEY", &pem)
        .set("PORTICO_LOG_LEVEL", "trace");
    let idp = DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
    let program = program
        .set_all(slot_variables(&idp, &[SLOT.to_owned()]))
        .unset("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET")
        .set("PORTICO_OIDC_PROVIDER1_TOKEN_ENDPOINT_AUTH_METHOD", "private_key_jwt");
    let realm = idp.oidc("provider1").unwrap();
    let mut client = (*realm.first_client().unwrap()).clone();
    client.auth = ClientAuth::PrivateKey(public);
    realm.put_client(client);
    realm.knobs(|knobs| knobs.authorize.auto_login = AutoLogin::As("ada-1".to_owned()));
    (program.serve().await, realm, idp)
}

/// One login by `form_post`; in turn 0 it succeeds, in turn 1 the provider refuses the client.
async fn log_in_by_form(browser: &mut Browser, realm: &Realm, canaries: &mut Canaries, turn: usize) {
    let authorization = browser.start(SLOT).await;
    let form = Form::of(browser.visit(&authorization).await.is(200));
    for name in ["code", "state"] {
        canaries.add(Reach::Browser, name, form.field(name).unwrap());
    }
    let page = browser.send(form.sent_from_elsewhere()).await;
    if turn == 1 {
        // The provider no longer accepts client assertions.
        let mut client = (*realm.first_client().unwrap()).clone();
        client.auth = ClientAuth::basic("another");
        realm.put_client(client);
    }
    let answer = browser.send(Form::of(&page).request()).await;
    assert_eq!(answer.status, [303, 401][turn], "{answer:?}");
    let sent = realm.last_request(Endpoint::Token).unwrap().form();
    let assertion = sent.iter().find(|(name, _)| name == "client_assertion").unwrap().1.clone();
    canaries.add(Reach::Provider, "a client assertion", &assertion);
}
