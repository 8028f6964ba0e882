//! Complete logins at the demo provider, over real sockets.

use portico_core::clock::Timestamp;
use portico_core::error::Code;
use portico_core::provider::{
    Answer, AuthorizationResponse, ClientAuth, LoginSecrets, Pkce, Prompt, Secrets, UserinfoMethod,
};
use portico_demo_idp::knobs::{AutoLogin, TokenError, TokenFormat};
use portico_demo_idp::{
    Client, ClientAuth as Registered, DemoIdp, Endpoint as Place, IdpConfig, Realm, RealmConfig,
    RealmKind as Realms,
};
use serde_json::json;
use std::sync::Arc;

use super::*;

const CALLBACK: &str = "http://127.0.0.1:1/auth/oauth2/provider1/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

struct Site {
    idp: DemoIdp,
    slot: Slot,
}

impl Site {
    fn new(registered: Registered, bend: impl FnOnce(&mut Slot)) -> Self {
        let mut realm = RealmConfig::new(Realms::OAuth2, "main");
        realm.clients.push(Client::new("portico", registered, CALLBACK));
        realm.knobs.authorize.auto_login = AutoLogin::As("ada-1".to_owned());
        let idp = DemoIdp::start(IdpConfig { port: 0, workers: 1, realms: vec![realm] }).unwrap();
        let realm = idp.oauth2("main").unwrap();
        let mut slot = fixtures::slot();
        slot.kind = ProviderKind::OAuth2(OAuth2Settings {
            authorization_url: realm.authorization_url().parse().unwrap(),
            token_url: realm.token_url().parse().unwrap(),
            userinfo_url: realm.userinfo_url().parse().unwrap(),
            emails_url: None,
            issuer: None,
            identity_namespace: realm.token_url(),
        });
        bend(&mut slot);
        Self { idp, slot }
    }

    fn realm(&self) -> Arc<Realm> {
        self.idp.oauth2("main").unwrap()
    }

    fn client(&self) -> OAuth2Client {
        let http = Outbound::new(&self.slot.transport, tokio::runtime::Handle::current()).unwrap();
        OAuth2Client::new(self.slot.clone(), http)
    }

    /// Begins a login. Returns the exchange that its callback causes.
    async fn begin(&self) -> CodeExchange {
        let login_secrets = || LoginSecrets::new(VERIFIER.into(), "n".into());
        let redirect_uri = Url::parse(CALLBACK).unwrap();
        let params = AuthorizationParams {
            redirect_uri: &redirect_uri,
            state: "the-state",
            login_secrets: &login_secrets(),
            prompt: Prompt::AsConfigured,
        };
        let started = self.client().authorization_redirect(params).await.unwrap();
        let browser = Outbound::new(&self.slot.transport, tokio::runtime::Handle::current()).unwrap();
        let request = ProviderRequest::get(started.location);
        let response = browser.send(Endpoint::Authorization, request).await.unwrap();
        let back = Url::parse(&response.location.unwrap()).unwrap();
        let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        CodeExchange {
            redirect_uri,
            login_secrets: login_secrets(),
            fingerprint: started.fingerprint,
            response: AuthorizationResponse { answer: Answer::Code(code.into()), iss: None },
            now: Timestamp::from_unix(0),
        }
    }

    async fn log_in(&self) -> Result<Claims, Code> {
        let exchange = self.begin().await;
        self.client().exchange_code(exchange).await.map_err(|error| error.code())
    }
}

fn secrets(current: &str, next: Option<&str>) -> Secrets {
    Secrets { current: current.into(), next: next.map(Into::into) }
}

#[tokio::test(flavor = "multi_thread")]
async fn h20_a_client_proves_itself_in_exactly_one_way() {
    let odd = "a:b%c+d e&f=g/\u{e9}";
    for (auth, registered, in_header, in_body) in [
        (ClientAuth::Public, Registered::Public, false, false),
        (ClientAuth::Auto(secrets(odd, None)), Registered::basic(odd), true, false),
        (ClientAuth::Basic(secrets(odd, None)), Registered::basic(odd), true, false),
        (ClientAuth::Post(secrets(odd, None)), Registered::post(odd), false, true),
    ] {
        let site = Site::new(registered, |slot| slot.auth = auth.clone());
        let claims = site.log_in().await.unwrap();
        assert_eq!(claims.identity().subject.as_str(), "ada-1");
        assert_eq!(claims.identity().issuer, site.realm().token_url());
        let asked = site.realm().last_request(Place::Token).unwrap();
        let form = asked.form();
        let has = |name: &str| form.iter().any(|(own, _)| own == name);
        assert_eq!(asked.header("authorization").is_some(), in_header, "{auth:?}");
        assert_eq!((has("client_secret"), has("client_id")), (in_body, !in_header), "{auth:?}");
        assert_eq!(asked.query, "");
        let expected =
            [("code_verifier", VERIFIER), ("redirect_uri", CALLBACK), ("grant_type", "authorization_code")];
        for (name, value) in expected {
            assert!(form.contains(&(name.to_owned(), value.to_owned())), "{name}: {form:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_secret_is_tried_for_an_unknown_client_only() {
    let refuses = |error: &str| Some(TokenError { status: 400, error: error.to_owned() });
    for (registered, next, error, expected, calls) in [
        ("one", Some("two"), None, Ok(()), 1),
        ("two", Some("two"), None, Ok(()), 2),
        ("two", None, None, Err(Code::CodeRejected), 1),
        ("three", Some("two"), None, Err(Code::CodeRejected), 2),
        ("one", Some("two"), refuses("invalid_grant"), Err(Code::CodeRejected), 1),
        ("one", Some("two"), refuses("unauthorized_client"), Err(Code::CodeRejected), 1),
    ] {
        let auth = ClientAuth::Basic(secrets("one", next));
        let site = Site::new(Registered::basic(registered), |slot| slot.auth = auth);
        site.realm().knobs(|knobs| knobs.token.error.clone_from(&error));
        assert_eq!(site.log_in().await.map(|_| ()), expected, "{registered} {next:?} {error:?}");
        assert_eq!(site.realm().calls(Place::Token), calls, "{registered} {next:?} {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m16_a_provider_that_changed_is_not_asked() {
    let site = Site::new(Registered::Public, |_| {});
    let exchange = site.begin().await;
    let elsewhere = CodeExchange { fingerprint: ProviderFingerprint([7; 8]), ..exchange };
    let error = site.client().exchange_code(elsewhere).await.unwrap_err();
    assert_eq!(error.code(), Code::LoginStateInvalid);
    assert_eq!(site.realm().calls(Place::Token), 0);
    assert!(site.log_in().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn c07_an_issuer_is_checked_before_the_code_leaves() {
    let site = Site::new(Registered::Public, |slot| {
        let ProviderKind::OAuth2(settings) = &mut slot.kind else { unreachable!() };
        settings.issuer = Some(Issuer::new("https://idp.example"));
    });
    for (iss, passes) in [
        (Some("https://idp.example"), true),
        (None, true),
        (Some("https://idp.example/"), false),
        (Some("https://evil.example"), false),
    ] {
        let mut exchange = site.begin().await;
        exchange.response.iss = iss.map(str::to_owned);
        let calls = site.realm().calls(Place::Token);
        let finished = site.client().exchange_code(exchange).await.map_err(|error| error.code());
        assert_eq!(finished.map(|_| ()), if passes { Ok(()) } else { Err(Code::LoginMixup) }, "{iss:?}");
        assert_eq!(site.realm().calls(Place::Token) - calls, u64::from(passes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_a_code_without_its_verifier_is_worth_nothing() {
    let site = Site::new(Registered::Public, |_| {});
    let mut exchange = site.begin().await;
    exchange.login_secrets =
        LoginSecrets::new("another-verifier-of-just-the-right-length-xx".into(), "n".into());
    let error = site.client().exchange_code(exchange).await.unwrap_err();
    assert_eq!(error.code(), Code::CodeRejected);
    let off = Site::new(Registered::basic("s"), |slot| {
        slot.pkce = Pkce::OffByOperator;
        slot.auth = ClientAuth::Basic(secrets("s", None));
    });
    assert!(off.log_in().await.is_ok());
    let sent = off.realm().last_request(Place::Token).unwrap().form();
    assert!(sent.iter().all(|(name, _)| name != "code_verifier"));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_in_the_forms_that_providers_use() {
    let site = Site::new(Registered::Public, |slot| slot.userinfo_method = UserinfoMethod::Post);
    let realm = site.realm();
    realm.knobs(|knobs| {
        knobs.token.format = TokenFormat::Form;
        knobs.userinfo.only_post = true;
    });
    assert!(site.log_in().await.is_ok());
    realm.reset_knobs();
    realm.knobs(|knobs| {
        knobs.token.error = Some(TokenError { status: 200, error: "bad_verification_code".to_owned() });
    });
    assert_eq!(site.log_in().await.unwrap_err(), Code::CodeRejected);
    realm.reset_knobs();
    realm.knobs(|knobs| knobs.userinfo.as_jwt = true);
    assert_eq!(site.log_in().await.unwrap_err(), Code::IdpBadResponse);
    realm.reset_knobs();
    realm.knobs(|knobs| {
        knobs.userinfo.fields.set("sub", json!(null));
    });
    assert_eq!(site.log_in().await.unwrap_err(), Code::IdpClaimsIncomplete);
}

/// An entry of the list of e-mail addresses.
fn entry(email: &str, primary: bool, verified: bool) -> serde_json::Value {
    json!({ "email": email, "primary": primary, "verified": verified })
}

#[tokio::test(flavor = "multi_thread")]
async fn q_gh_5_only_the_primary_verified_address_of_the_list_counts() {
    let listed = |rule: bool| {
        let site = Site::new(Registered::Public, |slot| {
            if rule {
                slot.access.email_domains = vec!["corp.example".to_owned()];
            }
        });
        let url = site.realm().emails_url().parse().unwrap();
        let mut site = site;
        let ProviderKind::OAuth2(settings) = &mut site.slot.kind else { unreachable!() };
        settings.emails_url = Some(url);
        site
    };
    let own = Some(("ada@example.com".to_owned(), Some(true)));
    let other = Some(("me@corp.example".to_owned(), Some(true)));
    let site = listed(false);
    for (list, expected) in [
        (json!([entry("x@y.example", false, true), entry("me@corp.example", true, true)]), &other),
        (json!([entry("me@corp.example", true, true), entry("x@y.example", true, true)]), &other),
        (json!([entry("me@corp.example", true, false)]), &own),
        (json!([entry("me@corp.example", false, true)]), &own),
        (json!([{ "email": "me@corp.example", "primary": "true", "verified": "true" }]), &own),
        (json!([{ "email": 7, "primary": true, "verified": true }]), &own),
        (json!([entry("two words@corp.example", true, true)]), &own),
        (json!([]), &own),
        (json!({ "email": "me@corp.example" }), &own),
    ] {
        site.realm().knobs(|knobs| knobs.emails.replace = Some(list.clone()));
        let claims = site.log_in().await.unwrap();
        let email = claims.email().map(|email| (email.address.clone(), email.verified));
        assert_eq!(&email, expected, "{list}");
    }
    // A list that cannot be read fails the login only if an access rule needs the address.
    for (rule, expected) in [(false, Ok(())), (true, Err(Code::IdpBadResponse))] {
        let site = listed(rule);
        assert!(site.log_in().await.is_ok());
        site.realm().knobs(|knobs| knobs.emails.answer.status = Some(403));
        assert_eq!(site.log_in().await.map(|_| ()), expected);
    }
}
