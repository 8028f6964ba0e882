//! The login page, the authorization response and the logout endpoint.

use portico_demo_idp::knobs::AutoLogin;
use portico_demo_idp::{DemoIdp, Endpoint, IdpConfig, SlotEndpoints};
use serde_json::Value;

use crate::site::{CALLBACK, Site, authorization_request, encode, response_params, site, value, with};

fn site_with_login_page() -> Site {
    let site = site();
    site.oidc.knobs(|knobs| knobs.authorize.auto_login = AutoLogin::ShowLogin);
    site
}

async fn submit_choice(site: &Site, fields: &[(&'static str, &str)]) -> reqwest::Response {
    let mut form = authorization_request("basic");
    form.extend(fields.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let request = site.http.post(site.oidc.authorization_url());
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(encode(&form)).send().await.unwrap()
}

#[tokio::test]
async fn the_page_offers_people_and_brings_nothing_from_elsewhere() {
    let site = site_with_login_page();
    let request = with(authorization_request("basic"), "state", Some("\"><script>alert(1)</script>"));
    let response = site.authorize(&site.oidc, &request).await;
    assert_eq!(response.status(), 200);
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    let page = response.text().await.unwrap();
    for name in ["Ada Example", "Bruno Beispiel", "Chidi Sample", "http://127.0.0.1:9", "name=\"deny\""] {
        assert!(page.contains(name), "{name}");
    }
    assert!(!page.contains("<script>"));
    let style = site.http.get(format!("{}/assets/demo-idp.css", site.idp.base_url())).send().await.unwrap();
    assert!(style.text().await.unwrap().contains("prefers-color-scheme: dark"));
}

#[tokio::test]
async fn choosing_a_person_sends_the_browser_back_with_a_code() {
    let site = site_with_login_page();
    let params = response_params(&submit_choice(&site, &[("person", "bruno-2")]).await);
    assert!(value(&params, "code").unwrap().starts_with("code-"));
    assert_eq!(value(&params, "state"), Some("st/te+1"));
    assert_eq!(site.oidc.calls(Endpoint::Choice), 1);
}

#[tokio::test]
async fn deny_and_strangers_are_refused() {
    let site = site_with_login_page();
    for form in [&[("deny", "1")][..], &[("person", "unknown")][..], &[][..]] {
        let params = response_params(&submit_choice(&site, form).await);
        assert_eq!(value(&params, "error"), Some("access_denied"));
        assert_eq!(value(&params, "code"), None);
    }
    let silent = with(authorization_request("basic"), "prompt", Some("none"));
    let params = response_params(&site.authorize(&site.oidc, &silent).await);
    assert_eq!(value(&params, "error"), Some("login_required"));
}

#[tokio::test]
async fn form_post_brings_the_result_in_a_form() {
    let site = site();
    let request = with(authorization_request("basic"), "response_mode", Some("form_post"));
    let response = site.authorize(&site.oidc, &request).await;
    assert_eq!(response.status(), 200);
    let page = response.text().await.unwrap();
    assert!(page.contains(&format!("action=\"{CALLBACK}\"")), "{page}");
    assert!(page.contains("name=\"code\"") && page.contains("name=\"state\""));
}

#[tokio::test]
async fn logout_goes_only_where_it_is_registered() {
    let idp = DemoIdp::start(IdpConfig::demo("http://127.0.0.1:8000")).unwrap();
    let realm = idp.oidc("provider1").unwrap();
    let site = site();
    let log_out = |query: &'static str| {
        site.http.get(format!("{}?client_id=portico-oidc-provider1&{query}", realm.end_session_url())).send()
    };
    let home = log_out("post_logout_redirect_uri=http%3A%2F%2F127.0.0.1%3A8000%2F&state=x").await.unwrap();
    assert_eq!(home.status(), 303);
    assert_eq!(home.headers()["location"], "http://127.0.0.1:8000/?state=x");
    assert_eq!(log_out("post_logout_redirect_uri=http%3A%2F%2Fevil.example%2F").await.unwrap().status(), 400);
    assert_eq!(log_out("").await.unwrap().status(), 200);
    assert_eq!(realm.calls(Endpoint::EndSession), 3);
}

#[tokio::test]
async fn the_demo_tells_each_slot_its_settings() {
    let idp = DemoIdp::start(IdpConfig::demo("http://127.0.0.1:8000")).unwrap();
    let slots = idp.slot_settings();
    let methods: Vec<_> = slots.iter().map(|slot| slot.token_endpoint_auth_method).collect();
    let (basic, post) = ("client_secret_basic", "client_secret_post");
    assert_eq!(methods, [basic, "none", post, basic, post, post]);
    let site = site();
    for slot in &slots {
        match &slot.endpoints {
            SlotEndpoints::Discovery { discovery_url } => {
                let document = site.get_json(discovery_url).await;
                let methods = &document["token_endpoint_auth_methods_supported"];
                assert_eq!(methods, &serde_json::json!([slot.token_endpoint_auth_method]));
            }
            SlotEndpoints::Endpoints { token_url, .. } => assert!(token_url.starts_with(idp.base_url())),
        }
    }
    let json: Value = serde_json::to_value(&slots).unwrap();
    assert_eq!(json[0]["protocol"], "oidc");
    assert!(json[0]["discovery_url"].is_string() && json[3]["userinfo_url"].is_string());
}
