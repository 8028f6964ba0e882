//! Client authentication: the registered method and no other.

use serde_json::json;

use crate::site::{Proof, SECRET, Site, ask, landed, site, value};

#[tokio::test]
async fn each_client_must_authenticate_as_registered() {
    let site = site();
    let good = [Proof::Header("basic", SECRET), Proof::Body("post", SECRET), Proof::Name("public")];
    let bad = [
        Proof::Header("basic", "wrong"),
        Proof::Header("nobody", SECRET),
        Proof::Body("basic", SECRET),
        Proof::Name("basic"),
        Proof::Body("post", "wrong"),
        Proof::Header("post", SECRET),
        Proof::Name("post"),
        Proof::Header("public", SECRET),
        Proof::Body("public", SECRET),
    ];
    for proof in bad {
        let (Proof::Header(client, _) | Proof::Body(client, _) | Proof::Name(client)) = proof;
        let client = if client == "nobody" { "basic" } else { client };
        let code = site.code(&site.oidc, client).await;
        let refused = site.redeem(&site.oidc, Site::exchange(&code), proof).await;
        assert_eq!(refused, (401, json!({ "error": "invalid_client" })));
        let twin = good[["basic", "post", "public"].iter().position(|id| *id == client).unwrap()];
        assert_eq!(site.redeem(&site.oidc, Site::exchange(&code), twin).await.0, 200);
    }
}

#[tokio::test]
async fn two_methods_at_once_are_refused() {
    let site = site();
    let code = site.code(&site.oidc, "basic").await;
    let mut both = Site::exchange(&code);
    both.extend([("client_id", "basic".to_owned()), ("client_secret", SECRET.to_owned())]);
    let response = site.token_request(&site.oidc, both, Proof::Header("basic", SECRET)).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Basic realm=\"token\"");
    assert_eq!(response.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn basic_credentials_that_were_not_form_encoded_are_refused() {
    let site = site();
    let code = site.code(&site.oidc, "basic").await;
    let request = site.token_request(&site.oidc, Site::exchange(&code), Proof::Name("basic"));
    let raw = request.basic_auth("basic", Some(SECRET)).send().await.unwrap();
    assert_eq!(raw.status(), 401);
}

#[tokio::test]
async fn a_token_request_must_be_one_form_with_each_parameter_once() {
    let site = site();
    let code = site.code(&site.oidc, "basic").await;
    let honest = Proof::Header("basic", SECRET);
    let mut twice = Site::exchange(&code);
    twice.push(("code", code.clone()));
    assert_eq!(site.redeem(&site.oidc, twice, honest).await.0, 400);
    let json_body = site.http.post(site.oidc.token_url()).basic_auth("basic", Some("irrelevant"));
    let json_body = json_body.header("content-type", "application/json").body("{}").send().await.unwrap();
    assert_eq!(json_body.status(), 400);
    let other_grant = crate::site::with(Site::exchange(&code), "grant_type", Some("password"));
    let refused = site.redeem(&site.oidc, other_grant, honest).await;
    assert_eq!(refused, (400, json!({ "error": "unsupported_grant_type" })));
    assert_eq!(site.redeem(&site.oidc, Site::exchange(&code), honest).await.0, 200);
}

#[tokio::test]
async fn a_client_registered_later_can_log_people_in() {
    use portico_demo_idp::{Client, ClientAuth};
    let site = site();
    let other = "http://127.0.0.1:10/cb";
    site.oidc.put_client(Client::new("late", ClientAuth::Public, other));
    let refused = site.authorize(&site.oidc, &ask("late")).await;
    assert_eq!(refused.status(), 400);
    let asked = crate::site::with(ask("late"), "redirect_uri", Some(other));
    let response = site.authorize(&site.oidc, &asked).await;
    assert!(response.headers()["location"].to_str().unwrap().starts_with("http://127.0.0.1:10/cb?code="));
    let back = landed(&site.authorize(&site.oidc, &ask("basic")).await);
    assert!(value(&back, "code").is_some());
}
