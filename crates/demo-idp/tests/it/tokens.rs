//! ID tokens, keys and userinfo, verified by a library that the provider does not use.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use portico_demo_idp::knobs::Signing;
use portico_demo_idp::{OldKeys, Person, Realm, SigningAlgorithm};
use serde_json::{Value, json};

use crate::site::{Site, json, site};

/// Verifies a token with the published JWKS.
async fn verify(site: &Site, realm: &Realm, token: &str) -> Option<Value> {
    let set: JwkSet = serde_json::from_value(site.get_json(&realm.jwks_url()).await).unwrap();
    let header = decode_header(token).ok()?;
    let jwk = set.find(header.kid.as_deref()?)?;
    let name = jwk.common.key_algorithm?.to_string();
    let mut validation = Validation::new(name.parse().ok()?);
    validation.set_issuer(&[realm.issuer()]);
    validation.set_audience(&["basic"]);
    let key = DecodingKey::from_jwk(jwk).ok()?;
    decode::<Value>(token, &key, &validation).ok().map(|token| token.claims)
}

async fn id_token(site: &Site, realm: &Realm) -> String {
    site.login(realm).await["id_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_id_token_says_what_it_should() {
    let site = site();
    let token = id_token(&site, &site.oidc).await;
    let claims = verify(&site, &site.oidc, &token).await.unwrap();
    for (name, value) in [
        ("sub", json!("ada-1")),
        ("aud", json!("basic")),
        ("nonce", json!("n-1")),
        ("name", json!("Ada Example")),
        ("email", json!("ada@example.com")),
        ("email_verified", json!(true)),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    for name in ["at_hash", "sid", "auth_time", "iat"] {
        assert!(claims.get(name).is_some(), "{name}");
    }
    let issued = site.oidc.last_issued().unwrap();
    assert_eq!(issued.id_token, Some(token));
    assert_eq!(issued.sub, "ada-1");
}

#[tokio::test]
async fn every_algorithm_verifies() {
    let site = site();
    for algorithm in
        [SigningAlgorithm::EdDsa, SigningAlgorithm::Es384, SigningAlgorithm::Rs256, SigningAlgorithm::Ps256]
    {
        site.oidc.sign_with(algorithm, OldKeys::Withdraw).unwrap();
        let token = id_token(&site, &site.oidc).await;
        assert!(verify(&site, &site.oidc, &token).await.is_some(), "{algorithm:?}");
        let document = site.get_json(&site.oidc.discovery_url()).await;
        assert_eq!(document["id_token_signing_alg_values_supported"], json!([algorithm.as_str()]));
    }
}

#[tokio::test]
async fn old_keys_verify_as_long_as_they_are_kept() {
    let site = site();
    let before = id_token(&site, &site.oidc).await;
    site.oidc.rotate_keys(OldKeys::Keep).unwrap();
    let after = id_token(&site, &site.oidc).await;
    assert!(verify(&site, &site.oidc, &before).await.is_some());
    assert!(verify(&site, &site.oidc, &after).await.is_some());
    site.oidc.rotate_keys(OldKeys::Withdraw).unwrap();
    assert!(verify(&site, &site.oidc, &after).await.is_none());
}

#[tokio::test]
async fn no_forged_token_verifies() {
    let site = site();
    site.oidc.sign_with(SigningAlgorithm::Rs256, OldKeys::Withdraw).unwrap();
    let forged = [
        (Signing::None, "none"),
        (Signing::EmptySignature, "RS256"),
        (Signing::ZeroSignature, "RS256"),
        (Signing::GarbageSignature, "RS256"),
        (Signing::UnpublishedKey, "RS256"),
        (Signing::KeyInHeader, "RS256"),
        (Signing::KeyOfRealm("two".to_owned()), "ES256"),
        (Signing::RightKeyAs(SigningAlgorithm::Ps256), "PS256"),
        (Signing::HmacWithPublicPem, "HS256"),
        (Signing::HmacWithPublicDer, "HS256"),
        (Signing::HmacWithClientSecret, "HS256"),
        (Signing::HmacWithEmptyKey, "HS256"),
    ];
    for (signing, alg) in forged {
        site.oidc.knobs(|knobs| knobs.id_token.signing = signing.clone());
        let token = id_token(&site, &site.oidc).await;
        assert_eq!(header(&token)["alg"], alg, "{signing:?}");
        assert!(verify(&site, &site.oidc, &token).await.is_none(), "{signing:?}");
    }
    site.oidc.reset_knobs();
    let minted = site.idp.mint_id_token(&site.oidc, "basic", "bruno-2", None).unwrap().unwrap();
    assert_eq!(verify(&site, &site.oidc, &minted).await.unwrap()["sub"], "bruno-2");
}

/// Two forged tokens are valid for a verifier that trusts their header or the client secret.
#[tokio::test]
async fn forgeries_would_fool_a_careless_verifier() {
    let site = site();
    site.oidc.knobs(|knobs| knobs.id_token.signing = Signing::HmacWithClientSecret);
    let token = id_token(&site, &site.oidc).await;
    let mut careless = Validation::new(Algorithm::HS256);
    careless.set_audience(&["basic"]);
    let secret = DecodingKey::from_secret(crate::site::SECRET.as_bytes()).unwrap();
    assert!(decode::<Value>(&token, &secret, &careless).is_ok());

    site.oidc.knobs(|knobs| knobs.id_token.signing = Signing::KeyInHeader);
    let token = id_token(&site, &site.oidc).await;
    let jwk = decode_header(&token).unwrap().jwk.unwrap();
    let mut careless = Validation::new(Algorithm::ES256);
    careless.set_audience(&["basic"]);
    assert!(decode::<Value>(&token, &DecodingKey::from_jwk(&jwk).unwrap(), &careless).is_ok());
}

fn header(token: &str) -> Value {
    use base64::Engine;
    let first = token.split('.').next().unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(first).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn a_changed_person_is_seen_at_the_next_login() {
    let site = site();
    let old = site.login(&site.oidc).await;
    site.oidc.set_person(Person { name: Some("Ada Changed".to_owned()), ..Person::new("ada-1", "Ada") });
    let info = site.userinfo(&site.oidc, old["access_token"].as_str().unwrap()).await;
    assert_eq!(json(info).await["name"], "Ada Example");
    let new = site.login(&site.oidc).await;
    let info = site.userinfo(&site.oidc, new["access_token"].as_str().unwrap()).await;
    assert_eq!(json(info).await["name"], "Ada Changed");
}

#[tokio::test]
async fn userinfo_wants_a_live_bearer_token() {
    let site = site();
    let bare = site.http.get(site.oidc.userinfo_url()).send().await.unwrap();
    assert_eq!(bare.status(), 401);
    let wrong = site.userinfo(&site.oidc, "access-unknown").await;
    assert_eq!(wrong.status(), 401);
    assert!(wrong.headers()["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    let plain = site.login(&site.oauth2).await;
    let elsewhere = site.userinfo(&site.oidc, plain["access_token"].as_str().unwrap()).await;
    assert_eq!(elsewhere.status(), 401);
}

#[tokio::test]
async fn userinfo_as_jwt_is_signed() {
    let site = site();
    site.oidc.knobs(|knobs| knobs.userinfo.as_jwt = true);
    let tokens = site.login(&site.oidc).await;
    let response = site.userinfo(&site.oidc, tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(response.headers()["content-type"], "application/jwt");
    assert_eq!(header(&response.text().await.unwrap())["alg"], "ES256");
}
