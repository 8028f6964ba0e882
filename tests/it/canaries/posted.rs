//! H09, L08: what is posted: by a provider through the browser, and by us in place of a secret.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portico_demo_idp::knobs::AutoLogin;
use portico_demo_idp::{ClientAuth, DemoIdp, Endpoint, IdpConfig};

use super::{Canaries, Reach};
use crate::testkit::{Backend, Form, Program, on_both_databases, slot_variables};

on_both_databases!(h09_l08_neither_posted_codes_nor_signed_statements_are_written_down);

const SLOT: &str = "oidc/provider1";

async fn h09_l08_neither_posted_codes_nor_signed_statements_are_written_down(backend: Backend) {
    let database = backend.fresh().await;
    let own = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let public = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, own.as_ref()).unwrap();
    let key = STANDARD.encode(own.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    let program = Program::configured()
        .set("PORTICO_STORAGE_URL", &database.url)
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
    client.auth = ClientAuth::PrivateKey(public.public_key().as_ref().to_vec());
    realm.put_client(client);
    realm.knobs(|knobs| knobs.authorize.auto_login = AutoLogin::As("ada-1".to_owned()));
    let service = program.serve().await;

    let mut canaries = Canaries::default();
    for line in [&key[..40], &key] {
        canaries.add(Reach::Provider, "the private key", line);
    }
    let mut browser = service.browser();
    for turn in 0..2 {
        let authorization = browser.start(SLOT).await;
        let form = Form::of(browser.visit(&authorization).await.is(200));
        for name in ["code", "state"] {
            canaries.add(Reach::Browser, name, form.field(name).unwrap());
        }
        let page = browser.send(form.sent_from_elsewhere()).await;
        if turn == 1 {
            // The provider knows neither this key nor what it signs.
            let mut client = (*realm.first_client().unwrap()).clone();
            client.auth = ClientAuth::basic("another");
            realm.put_client(client);
        }
        let answer = browser.send(Form::of(&page).request()).await;
        assert_eq!(answer.status, [303, 401][turn], "{answer:?}");
        let asked = realm.last_request(Endpoint::Token).unwrap().form();
        let statement = asked.iter().find(|(name, _)| name == "client_assertion").unwrap().1.clone();
        canaries.add(Reach::Provider, "a client assertion", &statement);
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
