//! Fixture: a running provider and an HTTP client for it.

use std::sync::Arc;

use portico_demo_idp::knobs::AutoLogin;
use portico_demo_idp::{Client, ClientAuth, DemoIdp, IdpConfig, Realm, RealmConfig, RealmKind};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use url::Url;

pub const CALLBACK: &str = "http://127.0.0.1:9/auth/callback";
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub const SECRET: &str = "a:b p%q+ä";

pub struct Site {
    pub idp: DemoIdp,
    pub oidc: Arc<Realm>,
    pub oauth2: Arc<Realm>,
    pub http: reqwest::Client,
}

/// A provider with the OIDC realms `one` and `two` and the OAuth 2.0 realm `plain`.
///
/// Each realm has the clients `basic`, `post` and `public`, and signs `ada-1` in without a login page.
pub fn site() -> Site {
    let mut config = IdpConfig { port: 0, workers: 1, realms: Vec::new() };
    for (kind, name) in [(RealmKind::Oidc, "one"), (RealmKind::Oidc, "two"), (RealmKind::OAuth2, "plain")] {
        let mut realm = RealmConfig::new(kind, name);
        for (id, auth) in [
            ("basic", ClientAuth::basic(SECRET)),
            ("post", ClientAuth::post(SECRET)),
            ("public", ClientAuth::Public),
        ] {
            realm.clients.push(Client::new(id, auth, CALLBACK));
        }
        realm.knobs.authorize.auto_login = AutoLogin::As("ada-1".to_owned());
        config.realms.push(realm);
    }
    let idp = DemoIdp::start(config).unwrap();
    let http = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
    Site { oidc: idp.oidc("one").unwrap(), oauth2: idp.oauth2("plain").unwrap(), idp, http }
}

pub type Pairs = Vec<(&'static str, String)>;

/// The parameters of a valid authorization request.
pub fn authorization_request(client_id: &str) -> Pairs {
    vec![
        ("response_type", "code".into()),
        ("client_id", client_id.into()),
        ("redirect_uri", CALLBACK.into()),
        ("scope", "openid profile email".into()),
        ("state", "st/te+1".into()),
        ("nonce", "n-1".into()),
        ("code_challenge", CHALLENGE.into()),
        ("code_challenge_method", "S256".into()),
    ]
}

/// The parameters with one of them replaced or removed.
pub fn with(mut pairs: Pairs, name: &'static str, value: Option<&str>) -> Pairs {
    pairs.retain(|(known, _)| *known != name);
    pairs.extend(value.map(|value| (name, value.to_owned())));
    pairs
}

pub fn encode(pairs: &Pairs) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The query parameters of a redirect to the client.
pub fn response_params(response: &Response) -> Vec<(String, String)> {
    assert_eq!(response.status(), 303);
    let location = response.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(CALLBACK), "{location}");
    Url::parse(location).unwrap().query_pairs().into_owned().collect()
}

pub fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The client credentials of a token request.
#[derive(Clone, Copy)]
pub enum Credentials {
    Header(&'static str, &'static str),
    Body(&'static str, &'static str),
    Name(&'static str),
}

impl Site {
    pub async fn authorize(&self, realm: &Realm, pairs: &Pairs) -> Response {
        self.http.get(format!("{}?{}", realm.authorization_url(), encode(pairs))).send().await.unwrap()
    }

    /// A new code for this client.
    pub async fn code(&self, realm: &Realm, client_id: &str) -> String {
        let response = self.authorize(realm, &authorization_request(client_id)).await;
        value(&response_params(&response), "code").unwrap().to_owned()
    }

    /// The parameters of a valid token request for this code.
    pub fn exchange(code: &str) -> Pairs {
        vec![
            ("grant_type", "authorization_code".into()),
            ("code", code.into()),
            ("redirect_uri", CALLBACK.into()),
            ("code_verifier", VERIFIER.into()),
        ]
    }

    pub fn token_request(&self, realm: &Realm, mut pairs: Pairs, credentials: Credentials) -> RequestBuilder {
        let mut request = self.http.post(realm.token_url());
        match credentials {
            Credentials::Header(id, secret) => {
                let coded =
                    |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                request = request.basic_auth(coded(id), Some(coded(secret)));
            }
            Credentials::Body(id, secret) => {
                pairs.extend([("client_id", id.to_owned()), ("client_secret", secret.to_owned())]);
            }
            Credentials::Name(id) => pairs.push(("client_id", id.to_owned())),
        }
        request.header("content-type", "application/x-www-form-urlencoded").body(encode(&pairs))
    }

    /// Sends a token request; returns the status and the JSON of the response.
    pub async fn redeem(&self, realm: &Realm, pairs: Pairs, credentials: Credentials) -> (u16, Value) {
        let response = self.token_request(realm, pairs, credentials).send().await.unwrap();
        (response.status().as_u16(), json(response).await)
    }

    /// A complete login with the client `basic`; returns the token response.
    pub async fn login(&self, realm: &Realm) -> Value {
        let code = self.code(realm, "basic").await;
        let (status, tokens) =
            self.redeem(realm, Self::exchange(&code), Credentials::Header("basic", SECRET)).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    pub async fn userinfo(&self, realm: &Realm, access_token: &str) -> Response {
        let request = self.http.request(Method::GET, realm.userinfo_url());
        request.bearer_auth(access_token).send().await.unwrap()
    }

    pub async fn get_json(&self, url: &str) -> Value {
        json(self.http.get(url).send().await.unwrap()).await
    }
}

pub async fn json(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null)
}
