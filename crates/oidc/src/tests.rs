//! Complete logins at the demo provider, over real sockets.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use portico_core::error::Code;
use portico_core::provider::{Answer, AuthorizationResponse, LoginSecrets, Prompt, ProviderFingerprint};
use portico_demo_idp::knobs::{AutoLogin, Body, Knobs, Signing};
use portico_demo_idp::{
    Client, ClientAuth as Registered, DemoIdp, Endpoint as Place, IdpConfig, OldKeys, Realm, RealmConfig,
    RealmKind as Realms, SigningAlgorithm,
};
use serde_json::json;

use super::*;

const CALLBACK: &str = "http://127.0.0.1:1/auth/oidc/provider1/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const NONCE: &str = "CANARY-the-nonce-of-this-login";
const NOW: i64 = 1_900_000_000;

/// An expected error code, and the change of the exchange that causes it.
type Bend = (Code, fn(&mut CodeExchange));

/// The setting, a label, the knobs, the expected name or error, and the number of userinfo requests.
type Case = (UserinfoUse, &'static str, fn(&mut Knobs), Result<Option<&'static str>, Code>, u64);

struct Site {
    idp: DemoIdp,
    client: OidcClient,
}

impl Site {
    fn new(algorithm: SigningAlgorithm, bend: impl FnOnce(&mut OidcSettings)) -> Self {
        Self::with_slot(algorithm, bend, |_| {})
    }

    fn with_slot(
        algorithm: SigningAlgorithm,
        bend: impl FnOnce(&mut OidcSettings),
        bend_slot: impl FnOnce(&mut Slot),
    ) -> Self {
        let mut realm = RealmConfig::new(Realms::Oidc, "main");
        realm.algorithm = algorithm;
        realm.clients.push(Client::new("portico", Registered::Public, CALLBACK));
        realm.knobs.authorize.auto_login = AutoLogin::As("ada-1".to_owned());
        realm.knobs.clock.now = Some(NOW);
        let idp = DemoIdp::start(IdpConfig { port: 0, workers: 1, realms: vec![realm] }).unwrap();
        let mut settings = fixtures::settings(&idp.oidc("main").unwrap().discovery_url());
        bend(&mut settings);
        let mut slot = fixtures::slot(settings);
        bend_slot(&mut slot);
        let http = Outbound::new(&slot.transport, tokio::runtime::Handle::current()).unwrap();
        Self { idp, client: OidcClient::new(slot, http) }
    }

    fn usual() -> Self {
        Self::new(SigningAlgorithm::Es256, |_| {})
    }

    fn realm(&self) -> Arc<Realm> {
        self.idp.oidc("main").unwrap()
    }

    /// Begins a login. Returns the exchange that its callback causes.
    async fn begin(&self, now: i64) -> Result<CodeExchange, UpstreamError> {
        let login_secrets = || LoginSecrets::new(VERIFIER.into(), NONCE.into());
        let redirect_uri = Url::parse(CALLBACK).unwrap();
        let params = AuthorizationParams {
            redirect_uri: &redirect_uri,
            state: "the-state",
            login_secrets: &login_secrets(),
            prompt: Prompt::AsConfigured,
        };
        let started = self.client.authorization_redirect(params).await?;
        let back = follow(&started.location);
        let find =
            |name: &str| back.query_pairs().find(|(own, _)| own == name).map(|pair| pair.1.into_owned());
        Ok(CodeExchange {
            redirect_uri,
            login_secrets: login_secrets(),
            fingerprint: started.fingerprint,
            response: AuthorizationResponse {
                answer: Answer::Code(find("code").unwrap().into()),
                iss: find("iss"),
            },
            now: Timestamp::from_unix(now),
        })
    }

    async fn log_in(&self, now: i64) -> Result<Claims, Code> {
        self.realm().knobs(|knobs| knobs.clock.now = Some(now));
        let exchange = self.begin(now).await.map_err(|error| error.code())?;
        self.client.exchange_code(exchange).await.map_err(|error| error.code())
    }

    /// A complete login with these knobs, which are reset afterwards.
    async fn with(&self, turn: impl FnOnce(&mut Knobs)) -> Result<Claims, Code> {
        self.realm().knobs(turn);
        let ended = self.log_in(NOW).await;
        self.realm().reset_knobs();
        ended
    }
}

/// Sends an authorization request as a browser does. Returns the target of the redirect.
fn follow(location: &Url) -> Url {
    let at = location.socket_addrs(|| None).unwrap();
    let mut socket = TcpStream::connect(&at[..]).unwrap();
    let target = format!("{}?{}", location.path(), location.query().unwrap());
    write!(socket, "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let line = answer.lines().find(|line| line.to_lowercase().starts_with("location: "));
    let line = line.unwrap_or_else(|| panic!("{answer}"));
    Url::parse(line.split_once(' ').unwrap().1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_whatever_the_provider_signs_with() {
    for algorithm in [
        SigningAlgorithm::Rs256,
        SigningAlgorithm::Ps256,
        SigningAlgorithm::Es256,
        SigningAlgorithm::Es384,
        SigningAlgorithm::EdDsa,
    ] {
        let site = Site::new(algorithm, |_| {});
        assert_eq!(site.client.health(), Health::Ok);
        assert!(site.client.issuer().is_none() && site.client.end_session(None, None).is_none());
        let claims = site.log_in(NOW).await.unwrap();
        assert_eq!(claims.identity().subject.as_str(), "ada-1");
        assert_eq!(claims.identity().issuer, site.realm().issuer());
        assert_eq!(claims.name().unwrap().text, "Ada Example");
        assert_eq!(site.client.issuer().unwrap().as_str(), site.realm().issuer());
        let away = site.client.end_session(None, None).unwrap();
        assert_eq!(away.as_str(), format!("{}?client_id=portico", site.realm().end_session_url()));
        site.log_in(NOW).await.unwrap();
        let counted = site.realm().counters();
        assert_eq!((counted.discovery, counted.jwks, counted.userinfo), (1, 1, 0), "fetched once");
    }
    let es512 = Site::new(SigningAlgorithm::Es512, |_| {});
    assert_eq!(es512.log_in(NOW).await.unwrap_err(), Code::IdpMetadataInvalid);
    assert_eq!(es512.client.health(), Health::Down);
}

#[tokio::test(flavor = "multi_thread")]
async fn c07_m16_the_reply_is_judged_before_the_code_leaves() {
    let site = Site::usual();
    let bends: [Bend; 5] = [
        (Code::LoginStateInvalid, |exchange| exchange.fingerprint = ProviderFingerprint([7; 8])),
        (Code::LoginMixup, |exchange| exchange.response.iss = None),
        (Code::LoginMixup, |exchange| exchange.response.iss = Some("https://evil.example".to_owned())),
        (Code::LoginMixup, |exchange| {
            exchange.response =
                AuthorizationResponse { answer: Answer::Error("access_denied".to_owned()), iss: None };
        }),
        (Code::IdpDenied, |exchange| exchange.response.answer = Answer::Error("access_denied".to_owned())),
    ];
    for (code, bend) in bends {
        let mut exchange = site.begin(NOW).await.unwrap();
        bend(&mut exchange);
        assert_eq!(site.client.exchange_code(exchange).await.unwrap_err().code(), code);
    }
    assert_eq!(site.realm().calls(Place::Token), 0);
    site.log_in(NOW).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn c02_c03_c09_a_token_that_is_not_for_this_login_is_refused() {
    let site = Site::usual();
    let canary = site.idp.canary_url();
    let invalid = Err(Code::IdpTokenInvalid);
    let signed = |signing: Signing| move |knobs: &mut Knobs| knobs.id_token.signing = signing;
    assert_eq!(site.with(|_| {}).await.map(|_| ()), Ok(()));
    for signing in [Signing::None, Signing::UnpublishedKey, Signing::KeyInHeader, Signing::HmacWithPublicPem]
    {
        assert_eq!(site.with(signed(signing.clone())).await.map(|_| ()), invalid, "{signing:?}");
    }
    for name in ["jku", "x5u"] {
        let ended = site.with(|knobs| {
            knobs.id_token.signing = Signing::UnpublishedKey;
            knobs.id_token.header.set(name, canary.clone());
        });
        assert_eq!(ended.await.map(|_| ()), invalid);
    }
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("aud", json!("other")),
        ("azp", json!("other")),
        ("exp", json!(NOW - 61)),
        ("nonce", json!("another")),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("events", json!({})),
    ] {
        let ended = site.with(|knobs| {
            knobs.id_token.claims.set(name, value.clone());
        });
        assert_eq!(ended.await.map(|_| ()), invalid, "{name} {value}");
    }
    assert_eq!(site.with(|knobs| knobs.id_token.omit = true).await.unwrap_err(), Code::IdpTokenMissing);
    assert_eq!(site.idp.canary_calls(), 0);
    assert_eq!(site.with(|_| {}).await.map(|_| ()), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn h23_a_switched_off_check_leaves_the_others_on() {
    let site = Site::new(SigningAlgorithm::Es256, |settings| {
        settings.signature = SignatureCheck::SkippedByOperator;
    });
    for (name, value, passes) in [
        ("iss", json!("https://evil.example"), true),
        ("aud", json!(7), true),
        ("azp", json!("other"), true),
        ("nonce", json!("another"), false),
        ("exp", json!(NOW - 61), false),
        ("iat", json!(NOW + 61), false),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"), false),
        ("events", json!({}), false),
    ] {
        let ended = site.with(|knobs| {
            knobs.id_token.claims.set(name, value.clone());
        });
        let ended = ended.await.map(|claims| claims.identity().issuer.clone());
        let expected = if passes { Ok(site.realm().issuer().to_owned()) } else { Err(Code::IdpTokenInvalid) };
        assert_eq!(ended, expected, "{name} {value}");
    }
    for signing in [Signing::None, Signing::UnpublishedKey, Signing::GarbageSignature] {
        assert!(site.with(|knobs| knobs.id_token.signing = signing).await.is_ok());
    }
    assert_eq!(site.realm().calls(Place::Jwks), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn h07_keys_that_rotated_are_found_and_a_flood_asks_once_a_minute() {
    let site = Site::usual();
    site.log_in(NOW).await.unwrap();
    for number in 0..5 {
        let ended = site.with(|knobs| {
            knobs.id_token.header.set("kid", format!("random-{number}"));
        });
        assert_eq!(ended.await.unwrap_err(), Code::IdpTokenInvalid);
    }
    assert_eq!(site.realm().calls(Place::Jwks), 2, "the first one and one more");
    site.realm().rotate_keys(OldKeys::Withdraw).unwrap();
    assert_eq!(site.log_in(NOW + 59).await.unwrap_err(), Code::IdpTokenInvalid);
    site.log_in(NOW + 60).await.unwrap();
    assert_eq!(site.realm().calls(Place::Jwks), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn m07_a_key_that_reuses_a_kid_is_found() {
    let site = Site::usual();
    let name_it = |knobs: &mut Knobs, set: serde_json::Value| {
        knobs.id_token.header.set("kid", "same");
        knobs.jwks.replace = Some(set);
    };
    // The key set of another realm replaces the keys before the rotation.
    let other = Site::usual();
    let sets = [published(&other), published(&site)];
    for (mut set, expected) in sets.into_iter().zip([Err(Code::IdpTokenInvalid), Ok(())]) {
        for key in set["keys"].as_array_mut().unwrap() {
            key["kid"] = json!("same");
        }
        let at = if expected.is_ok() { NOW + 61 } else { NOW };
        site.realm().knobs(|knobs| name_it(knobs, set));
        assert_eq!(site.log_in(at).await.map(|_| ()), expected);
    }
}

/// Fetches the key set of a realm.
fn published(site: &Site) -> serde_json::Value {
    let url = Url::parse(&site.realm().jwks_url()).unwrap();
    let mut socket = TcpStream::connect(&url.socket_addrs(|| None).unwrap()[..]).unwrap();
    write!(socket, "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", url.path()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn m12_a_dead_key_set_leaves_the_good_keys_for_a_day() {
    let site = Site::usual();
    let hour = 3600;
    site.log_in(NOW).await.unwrap();
    let bodies =
        [Body::from(""), Body::from(json!({})), Body::from(json!({ "keys": [] })), Body::from("<html>")];
    for (number, body) in (1..).zip(bodies) {
        site.realm().knobs(|knobs| knobs.jwks.answer.body = Some(body));
        site.log_in(NOW + number * 2 * hour).await.unwrap();
        assert_eq!(site.client.health(), Health::Degraded);
    }
    site.realm().knobs(|knobs| knobs.jwks.answer.status = Some(500));
    assert_eq!(site.log_in(NOW + 24 * hour).await.unwrap_err(), Code::IdpBadResponse);
    assert_eq!(site.client.health(), Health::Down);
    site.realm().reset_knobs();
    site.log_in(NOW + 24 * hour).await.unwrap();
    assert_eq!(site.client.health(), Health::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn m12_one_look_is_enough_for_all_who_start_at_once() {
    let site = Arc::new(Site::usual());
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let site = Arc::clone(&site);
        all.spawn(async move { site.begin(NOW).await.is_ok() });
    }
    assert!(all.join_all().await.into_iter().all(|begun| begun));
    assert_eq!(site.realm().calls(Place::Discovery), 1);
}

/// The profile is at userinfo only.
fn thin(knobs: &mut Knobs) {
    knobs.id_token.profile_only_at_userinfo = true;
}

/// Userinfo of another subject.
fn foreign(knobs: &mut Knobs) {
    thin(knobs);
    knobs.userinfo.fields.set("sub", "bruno-2");
}

/// Userinfo fails.
fn gone(knobs: &mut Knobs) {
    thin(knobs);
    knobs.userinfo.answer.status = Some(500);
}

/// Userinfo is a JWT.
fn signed(knobs: &mut Knobs) {
    thin(knobs);
    knobs.userinfo.as_jwt = true;
}

/// Userinfo is a JWT for another client.
fn forged(knobs: &mut Knobs) {
    knobs.userinfo.as_jwt = true;
    knobs.userinfo.fields.set("aud", "other");
}

/// The ID token has no subject.
fn nobody(knobs: &mut Knobs) {
    knobs.id_token.claims.remove("sub");
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_q_x_12_userinfo_is_of_the_same_person_and_read_as_configured() {
    use UserinfoUse::{Always, IfNeeded, Never};
    let cases: [Case; 14] = [
        (IfNeeded, "all there", |_| {}, Ok(Some("Ada Example")), 0),
        (IfNeeded, "thin", thin, Ok(Some("Ada Example")), 1),
        (IfNeeded, "foreign", foreign, Err(Code::IdpTokenInvalid), 1),
        (IfNeeded, "gone", gone, Ok(None), 1),
        (IfNeeded, "signed", signed, Ok(Some("Ada Example")), 1),
        (Always, "all there", |_| {}, Ok(Some("Ada Example")), 1),
        (Always, "foreign", foreign, Err(Code::IdpTokenInvalid), 1),
        (Always, "gone", gone, Err(Code::IdpBadResponse), 1),
        (Always, "signed", signed, Ok(Some("Ada Example")), 1),
        (Always, "forged", forged, Err(Code::IdpTokenInvalid), 1),
        (Always, "nobody", nobody, Err(Code::IdpClaimsIncomplete), 0),
        (Never, "thin", thin, Ok(None), 0),
        (Never, "foreign", foreign, Ok(None), 0),
        (Never, "nobody", nobody, Err(Code::IdpClaimsIncomplete), 0),
    ];
    for (mode, what, turn, expected, calls) in cases {
        let site = Site::new(SigningAlgorithm::Es256, |settings| settings.userinfo = mode);
        let ended = site.with(turn).await;
        let name = ended.map(|claims| claims.name().map(|name| name.text.clone()));
        assert_eq!(name.as_ref().map(Option::as_deref).map_err(|code| *code), expected, "{mode:?} {what}");
        assert_eq!(site.realm().calls(Place::Userinfo), calls, "{mode:?} {what}");
    }
}

/// Section 2.5 of the contract: with `if_needed`, a failed call fails the login if an access rule needs the
/// claim.
#[tokio::test(flavor = "multi_thread")]
async fn an_access_rule_is_never_judged_without_the_userinfo_it_needs() {
    let none: fn(&mut Slot) = |_| {};
    let subjects: fn(&mut Slot) = |slot| slot.access.subjects = vec!["ada-1".to_owned()];
    let groups: fn(&mut Slot) = |slot| slot.access.groups = vec!["engineering".to_owned()];
    let domains: fn(&mut Slot) = |slot| slot.access.email_domains = vec!["example.com".to_owned()];
    for (what, bend, failed) in [
        ("no rule", none, Ok(())),
        ("subjects", subjects, Ok(())),
        ("groups", groups, Err(Code::IdpBadResponse)),
        ("domains", domains, Err(Code::IdpBadResponse)),
    ] {
        let site = Site::with_slot(SigningAlgorithm::Es256, |_| {}, bend);
        let read = site.with(thin).await.unwrap();
        assert_eq!(site.client.slot.access.check(read.session_claims()), Ok(()), "{what}");
        assert_eq!(site.with(gone).await.map(|_| ()), failed, "{what}");
        assert_eq!(site.realm().calls(Place::Userinfo), 2, "{what}");
        // Userinfo is not needed if the ID token has the claims.
        let whole = site.with(|knobs| knobs.userinfo.answer.status = Some(500)).await.unwrap();
        assert_eq!(site.client.slot.access.check(whole.session_claims()), Ok(()), "{what}");
    }
}
