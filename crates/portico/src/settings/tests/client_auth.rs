//! The client authentication of a slot.

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

use super::*;

const KEY: &str = "PORTICO_OIDC_PROVIDER1_CLIENT_KEY";
const KEY_ID: &str = "PORTICO_OIDC_PROVIDER1_CLIENT_KEY_ID";
const CERTIFICATE: &str = "PORTICO_OIDC_PROVIDER1_CLIENT_CERTIFICATE";
const SECRET: (&str, &str) = ("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET", "hush");
const METHOD: (&str, &str) = ("PORTICO_OIDC_PROVIDER1_TOKEN_ENDPOINT_AUTH_METHOD", "private_key_jwt");

fn certificate(key: &KeyPair) -> String {
    CertificateParams::new(["portico.example".to_owned()]).unwrap().self_signed(key).unwrap().pem()
}

#[test]
fn a_private_key_stands_in_for_the_secret() {
    let keys = [
        KeyPair::generate().unwrap(),
        KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
        KeyPair::generate_for(&PKCS_ED25519).unwrap(),
    ];
    for (key, alg) in keys.iter().zip(["ES256", "ES384", "EdDSA"]) {
        let (pem, certificate) = (key.serialize_pem(), certificate(key));
        let slot = slot(&[&OIDC, &[METHOD, (KEY, &pem), (KEY_ID, "k1"), (CERTIFICATE, &certificate)]]);
        let message = format!("{:?}", slot.auth);
        assert!(matches!(slot.auth, ClientAuth::PrivateKey(_)) && message.contains(alg), "{message}");
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        assert!(!message.contains(&body[..16]), "{message}");
    }
}

#[test]
fn a_private_key_comes_alone_and_fits() {
    let (own, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (pem, foreign) = (own.serialize_pem(), certificate(&other));
    for (settings, blamed) in [
        (&[METHOD][..], KEY),
        (&[METHOD, (KEY, "CANARY")], KEY),
        (&[METHOD, (KEY, &pem), SECRET], SECRET.0),
        (&[METHOD, (KEY, &pem), (CERTIFICATE, &foreign)], CERTIFICATE),
        (&[METHOD, (KEY, &pem), (CERTIFICATE, "CANARY")], CERTIFICATE),
        (&[(KEY, &pem)], KEY),
        (&[SECRET, (KEY_ID, "k1")], KEY_ID),
    ] {
        let message = mistake(&[&OIDC, settings]);
        assert!(message.starts_with(&format!("{blamed}: ")), "{message}");
        assert!(!message.contains("CANARY") && !message.contains("PRIVATE"), "{message}");
    }
}
