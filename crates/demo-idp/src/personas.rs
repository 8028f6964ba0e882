//! Well-known providers, as their documents and other people's bug reports tell of them: a canned set of knobs each.
//!
//! None of them is the real thing. A persona behaves where it matters to a client: the spelling of the issuer, where claims
//! stand and of which type they are, how a client proves itself, what comes back through the browser.

use serde_json::{Value, json};

use crate::config::{ClientAuth, RealmKind};
use crate::keys::{OldKeys, SigningAlgorithm};
use crate::knobs::{IssKnob, TokenFormat};
use crate::realm::Realm;

/// A provider to behave like.
#[derive(Debug, Clone, Copy)]
pub struct Persona {
    /// Its name, in lower case with hyphens.
    pub name: &'static str,
    /// The protocol it speaks.
    pub kind: RealmKind,
    /// Where its discovery document stands, below the realm.
    pub discovery: &'static str,
    dress: fn(&Realm),
}

impl Persona {
    /// Makes a realm behave like it, whatever its knobs were.
    pub fn dress(&self, realm: &Realm) {
        realm.reset_knobs();
        (self.dress)(realm);
    }
}

/// A tenant of Entra ID.
pub const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

const WELL_KNOWN: &str = "/.well-known/openid-configuration";

const fn oidc(name: &'static str, dress: fn(&Realm)) -> Persona {
    Persona { name, kind: RealmKind::Oidc, discovery: WELL_KNOWN, dress }
}

/// All of them.
pub const ALL: [Persona; 17] = [
    oidc("google", google),
    oidc("entra-id", entra_id),
    oidc("entra-id-tenants", entra_id_tenants),
    oidc("auth0", auth0),
    oidc("okta", okta),
    oidc("keycloak", keycloak),
    oidc("authentik", authentik),
    oidc("authelia", authelia),
    oidc("pocket-id", pocket_id),
    Persona { discovery: "/apps/oidc/openid-configuration", ..oidc("nextcloud", nextcloud) },
    oidc("zitadel", zitadel),
    oidc("gitlab", gitlab),
    Persona { kind: RealmKind::OAuth2, ..oidc("github", github) },
    oidc("apple", apple),
    Persona { kind: RealmKind::OAuth2, ..oidc("discord", discord) },
    oidc("linkedin", linkedin),
    oidc("lemonldap", lemonldap),
];

/// The issuer that documents and tokens name: the realm's own address with this after it.
fn name_issuer(realm: &Realm, suffix: &str) -> String {
    let issuer = format!("{}{suffix}", realm.issuer());
    realm.knobs(|knobs| {
        knobs.discovery.fields.set("issuer", issuer.as_str());
        knobs.id_token.claims.set("iss", issuer.as_str());
    });
    issuer
}

/// Whether `iss` comes back through the browser (RFC 9207), and is promised.
fn answer_with_iss(realm: &Realm, issuer: Option<&str>) {
    realm.knobs(|knobs| {
        let name = "authorization_response_iss_parameter_supported";
        if let Some(issuer) = issuer {
            knobs.discovery.fields.set(name, true);
            knobs.authorize.iss = IssKnob::Send(issuer.to_owned());
        } else {
            knobs.discovery.fields.remove(name);
            knobs.authorize.iss = IssKnob::Omit;
        }
    });
}

fn register(realm: &Realm, auth: fn(String) -> ClientAuth) {
    let Some(client) = realm.first_client() else { return };
    let mut client = (*client).clone();
    client.auth = auth(client.auth.secret().unwrap_or("a secret of the persona").to_owned());
    realm.put_client(client);
}

fn basic(secret: String) -> ClientAuth {
    ClientAuth::basic(secret)
}

fn post(secret: String) -> ClientAuth {
    ClientAuth::post(secret)
}

fn claim(realm: &Realm, name: &str, value: Value) {
    realm.knobs(|knobs| {
        knobs.id_token.claims.set(name, value);
    });
}

fn at_userinfo(realm: &Realm, name: &str, value: Value) {
    realm.knobs(|knobs| {
        knobs.userinfo.fields.set(name, value);
    });
}

/// A key signs whatever a client may expect of the provider; a realm that cannot change its key keeps it.
fn sign_with(realm: &Realm, algorithm: SigningAlgorithm) {
    let _ = realm.sign_with(algorithm, OldKeys::Keep);
}

/// Google: an issuer and `hd` to rely on, no groups, no logout, scopes that come back spelt differently.
fn google(realm: &Realm) {
    register(realm, post);
    sign_with(realm, SigningAlgorithm::Rs256);
    answer_with_iss(realm, Some(realm.issuer()));
    claim(realm, "hd", json!("example.com"));
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("groups").remove("preferred_username").remove("sid");
        knobs.userinfo.fields.remove("groups").remove("preferred_username");
        knobs.discovery.fields.remove("end_session_endpoint").remove("backchannel_logout_supported");
        knobs.token.fields.set("scope", "https://www.googleapis.com/auth/userinfo.profile openid");
    });
}

/// Entra ID, one tenant: a version in the issuer, GUIDs as groups, no `email_verified`, nothing said of PKCE.
fn entra_id(realm: &Realm) {
    register(realm, post);
    sign_with(realm, SigningAlgorithm::Rs256);
    name_issuer(realm, &format!("/{TENANT}/v2.0"));
    answer_with_iss(realm, None);
    entra_claims(realm);
}

/// Entra ID, `organizations`: the issuer is a template, the token names the tenant's.
fn entra_id_tenants(realm: &Realm) {
    entra_id(realm);
    realm.knobs(|knobs| {
        let template = format!("{}/{{tenantid}}/v2.0", realm.issuer());
        knobs.discovery.fields.set("issuer", template);
    });
}

fn entra_claims(realm: &Realm) {
    claim(realm, "tid", json!(TENANT));
    claim(realm, "oid", json!("00000000-0000-0000-66f3-3332eca7ea81"));
    claim(realm, "ver", json!("2.0"));
    claim(realm, "groups", json!(["0f1e2d3c-0000-4000-8000-00000000aaaa"]));
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("email_verified");
        knobs.userinfo.fields.remove("email_verified").remove("groups");
        knobs.discovery.fields.remove("code_challenge_methods_supported");
        knobs.discovery.fields.remove("backchannel_logout_supported");
        knobs.token.fields.set("expires_in", "3599");
    });
}

/// Auth0: a slash at the issuer's end, claims under addresses, a date where a number should be.
fn auth0(realm: &Realm) {
    register(realm, post);
    sign_with(realm, SigningAlgorithm::Rs256);
    name_issuer(realm, "/");
    answer_with_iss(realm, None);
    claim(realm, "https://app.example.com/roles", json!(["engineering", "admins"]));
    claim(realm, "updated_at", json!("2026-11-25T08:00:00.000Z"));
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("groups");
        knobs.userinfo.fields.remove("groups").set("updated_at", "2026-11-25T08:00:00.000Z");
    });
}

/// Okta, a custom authorization server: a thin ID token with the groups in it.
fn okta(realm: &Realm) {
    register(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    name_issuer(realm, "/oauth2/default");
    answer_with_iss(realm, None);
    claim(realm, "groups", json!(["Everyone", "engineering"]));
    realm.knobs(|knobs| knobs.id_token.profile_only_at_userinfo = true);
}

/// Keycloak: roles deep inside, a `session_state` beside the code, members nobody knows in the token answer.
fn keycloak(realm: &Realm) {
    register(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    let issuer = name_issuer(realm, "/realms/demo");
    answer_with_iss(realm, Some(&issuer));
    claim(realm, "realm_access", json!({ "roles": ["offline_access", "engineering"] }));
    claim(realm, "resource_access", json!({ "my.app/v1": { "roles": ["editor"] } }));
    realm.knobs(|knobs| {
        knobs.authorize.extra = vec![("session_state".to_owned(), "b7f6".to_owned())];
        knobs.token.fields.set("not-before-policy", 0).set("refresh_expires_in", 0).set("session_state", "b7f6");
        knobs.jwks.extra_keys = vec![json!({ "kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "kid": "enc-1", "n": "AQAB", "e": "AQAB" })];
    });
}

/// authentik: a slash at the issuer's end, an address that is never called verified.
fn authentik(realm: &Realm) {
    register(realm, basic);
    name_issuer(realm, "/");
    answer_with_iss(realm, None);
    claim(realm, "email_verified", json!(false));
    at_userinfo(realm, "email_verified", json!(false));
}

/// Authelia: one way to authenticate, next to nothing in the ID token, `iss` promised, no logout.
fn authelia(realm: &Realm) {
    register(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    answer_with_iss(realm, Some(realm.issuer()));
    realm.knobs(|knobs| {
        knobs.id_token.profile_only_at_userinfo = true;
        knobs.discovery.fields.remove("end_session_endpoint").remove("backchannel_logout_supported");
    });
}

/// Pocket ID: `iss` promised, groups only when their scope is asked for.
fn pocket_id(realm: &Realm) {
    register(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    answer_with_iss(realm, Some(realm.issuer()));
}

/// Nextcloud's OIDC app: a document at an odd place.
fn nextcloud(realm: &Realm) {
    register(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    answer_with_iss(realm, None);
}

/// ZITADEL: roles as the keys of an object under a name with colons, an audience of many.
fn zitadel(realm: &Realm) {
    register(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    answer_with_iss(realm, None);
    let client = realm.first_client().map(|client| client.id.clone()).unwrap_or_default();
    claim(realm, "aud", json!(["311001234567890123@project", client, "311009876543210987"]));
    claim(realm, "azp", json!(client));
    let roles = json!({ "editor": { "3110": "org.example.com" }, "admin": { "3110": "org.example.com" } });
    claim(realm, "urn:zitadel:iam:org:project:roles", roles);
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("groups");
    });
}

/// GitLab: groups at userinfo, their direct ones in the ID token under another name.
fn gitlab(realm: &Realm) {
    register(realm, post);
    sign_with(realm, SigningAlgorithm::Rs256);
    answer_with_iss(realm, None);
    claim(realm, "groups_direct", json!(["acme"]));
    at_userinfo(realm, "groups", json!(["acme", "acme/backend"]));
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("groups");
        knobs.discovery.fields.remove("end_session_endpoint").remove("backchannel_logout_supported");
    });
}

/// GitHub: a number as identifier, no name, an address elsewhere, form-encoded answers.
fn github(realm: &Realm) {
    register(realm, post);
    realm.knobs(|knobs| {
        knobs.token.format = TokenFormat::Form;
        knobs.token.fields.set("scope", "read:user,user:email").remove("expires_in");
        knobs
            .userinfo
            .fields
            .remove("sub")
            .remove("preferred_username")
            .remove("email_verified")
            .remove("groups");
        knobs.userinfo.fields.set("id", 9_007_199_254_740_993_u64).set("login", "ada");
        knobs.userinfo.fields.set("name", Value::Null).set("email", Value::Null);
        knobs.emails.replace = Some(json!([
            { "email": "old@example.org", "primary": false, "verified": true, "visibility": null },
            { "email": "ada@example.org", "primary": true, "verified": true, "visibility": "private" },
        ]));
    });
}

/// Apple: a posted answer with a name that nobody signed, `"true"` as a text, no userinfo, no logout.
fn apple(realm: &Realm) {
    register(realm, post);
    sign_with(realm, SigningAlgorithm::Rs256);
    answer_with_iss(realm, None);
    claim(realm, "email_verified", json!("true"));
    claim(realm, "is_private_email", json!("true"));
    claim(realm, "nonce_supported", json!(true));
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("name").remove("preferred_username").remove("groups").remove("sid");
        knobs.discovery.fields.remove("userinfo_endpoint").remove("end_session_endpoint");
        knobs.discovery.fields.remove("backchannel_logout_supported");
        let user = r#"{"name":{"firstName":"Admin","lastName":"Istrator"},"email":"admin@example.org"}"#;
        knobs.authorize.extra = vec![("user".to_owned(), user.to_owned())];
    });
}

/// Discord: `id` where `sub` would be, `verified` where `email_verified` would be.
fn discord(realm: &Realm) {
    register(realm, post);
    realm.knobs(|knobs| {
        let fields = &mut knobs.userinfo.fields;
        fields
            .remove("sub")
            .remove("name")
            .remove("preferred_username")
            .remove("groups")
            .remove("email_verified");
        fields.set("id", "80351110224678912").set("username", "ada").set("global_name", "Ada Example");
        fields.set("verified", true).set("discriminator", "0");
    });
}

/// `LinkedIn`: no nonce comes back, PKCE is not known, `"true"` as a text, an object as locale.
fn linkedin(realm: &Realm) {
    register(realm, post);
    sign_with(realm, SigningAlgorithm::Rs256);
    name_issuer(realm, "/oauth");
    answer_with_iss(realm, None);
    claim(realm, "email_verified", json!("true"));
    claim(realm, "locale", json!({ "country": "US", "language": "en" }));
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("nonce").remove("groups");
        knobs.discovery.fields.remove("end_session_endpoint").remove("code_challenge_methods_supported");
    });
}

/// `LemonLDAP::NG` in front of a directory: an audience of one in a list, groups of the directory in one text.
fn lemonldap(realm: &Realm) {
    register(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    answer_with_iss(realm, None);
    let client = realm.first_client().map(|client| client.id.clone()).unwrap_or_default();
    claim(realm, "aud", json!([client]));
    realm.knobs(|knobs| {
        knobs.id_token.profile_only_at_userinfo = true;
        knobs.userinfo.fields.set("groups", "engineering,admins");
    });
}
