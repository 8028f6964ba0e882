//! Client authentication: only the registered method is accepted.

use serde_json::json;

use crate::site::{Credentials, SECRET, Site, authorization_request, response_params, site, value};

#[tokio::test]
async fn each_client_must_authenticate_as_registered() {
    let site = site();
    let accepted = [
        Credentials::Header("basic", SECRET),
        Credentials::Body("post", SECRET),
        Credentials::Name("public"),
    ];
    let rejected = [
        Credentials::Header("basic", "wrong"),
        Credentials::Header("unknown", SECRET),
        Credentials::Body("basic", SECRET),
        Credentials::Name("basic"),
        Credentials::Body("post", "wrong"),
        Credentials::Header("post", SECRET),
        Credentials::Name("post"),
        Credentials::Header("public", SECRET),
        Credentials::Body("public", SECRET),
    ];
    for credentials in rejected {
        let (Credentials::Header(client, _) | Credentials::Body(client, _) | Credentials::Name(client)) =
            credentials;
        let client = if client == "unknown" { "basic" } else { client };
        let code = site.code(&site.oidc, client).await;
        let refused = site.redeem(&site.oidc, Site::exchange(&code), credentials).await;
        assert_eq!(refused, (401, json!({ "error": "invalid_client" })));
        let correct = accepted[["basic", "post", "public"].iter().position(|id| *id == client).unwrap()];
        assert_eq!(site.redeem(&site.oidc, Site::exchange(&code), correct).await.0, 200);
    }
}

#[tokio::test]
async fn two_methods_at_once_are_refused() {
    let site = site();
    let code = site.code(&site.oidc, "basic").await;
    let mut both = Site::exchange(&code);
    both.extend([("client_id", "basic".to_owned()), ("client_secret", SECRET.to_owned())]);
    let response =
        site.token_request(&site.oidc, both, Credentials::Header("basic", SECRET)).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Basic realm=\"token\"");
    assert_eq!(response.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn basic_credentials_that_were_not_form_encoded_are_refused() {
    let site = site();
    let code = site.code(&site.oidc, "basic").await;
    let request = site.token_request(&site.oidc, Site::exchange(&code), Credentials::Name("basic"));
    let raw = request.basic_auth("basic", Some(SECRET)).send().await.unwrap();
    assert_eq!(raw.status(), 401);
}

#[tokio::test]
async fn a_token_request_must_be_one_form_with_each_parameter_once() {
    let site = site();
    let code = site.code(&site.oidc, "basic").await;
    let basic = Credentials::Header("basic", SECRET);
    let mut twice = Site::exchange(&code);
    twice.push(("code", code.clone()));
    assert_eq!(site.redeem(&site.oidc, twice, basic).await.0, 400);
    let json_body = site.http.post(site.oidc.token_url()).basic_auth("basic", Some("irrelevant"));
    let json_body = json_body.header("content-type", "application/json").body("{}").send().await.unwrap();
    assert_eq!(json_body.status(), 400);
    let other_grant = crate::site::with(Site::exchange(&code), "grant_type", Some("password"));
    let refused = site.redeem(&site.oidc, other_grant, basic).await;
    assert_eq!(refused, (400, json!({ "error": "unsupported_grant_type" })));
    assert_eq!(site.redeem(&site.oidc, Site::exchange(&code), basic).await.0, 200);
}

#[tokio::test]
async fn a_client_registered_later_can_log_people_in() {
    use portico_demo_idp::{Client, ClientAuth};
    let site = site();
    let other = "http://127.0.0.1:10/cb";
    site.oidc.put_client(Client::new("late", ClientAuth::Public, other));
    let refused = site.authorize(&site.oidc, &authorization_request("late")).await;
    assert_eq!(refused.status(), 400);
    let pairs = crate::site::with(authorization_request("late"), "redirect_uri", Some(other));
    let response = site.authorize(&site.oidc, &pairs).await;
    assert!(response.headers()["location"].to_str().unwrap().starts_with("http://127.0.0.1:10/cb?code="));
    let params = response_params(&site.authorize(&site.oidc, &authorization_request("basic")).await);
    assert!(value(&params, "code").is_some());
}
