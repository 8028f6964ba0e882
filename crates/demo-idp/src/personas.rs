//! Personas: predefined knobs that imitate well-known providers, after their documentation and public bug
//! reports.
//!
//! A persona is not the real provider. It imitates what affects a client: the form of the issuer, the
//! location and type of claims, the client authentication method, and the authorization response.

use serde_json::{Value, json};

use crate::config::{ClientAuth, RealmKind};
use crate::keys::{OldKeys, SigningAlgorithm};
use crate::knobs::{IssKnob, TokenFormat};
use crate::realm::Realm;

/// A provider that a realm can imitate.
#[derive(Debug, Clone, Copy)]
pub struct Persona {
    /// The name, in lower case with hyphens.
    pub name: &'static str,
    /// The protocol of the realm.
    pub kind: RealmKind,
    /// The path of the discovery document, relative to the realm.
    pub discovery: &'static str,
    configure: fn(&Realm),
}

impl Persona {
    /// Resets the knobs of the realm and applies those of the persona.
    pub fn apply_to(&self, realm: &Realm) {
        realm.reset_knobs();
        (self.configure)(realm);
    }
}

/// The tenant identifier that the Entra ID personas use.
pub const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

const WELL_KNOWN: &str = "/.well-known/openid-configuration";

const fn oidc(name: &'static str, configure: fn(&Realm)) -> Persona {
    Persona { name, kind: RealmKind::Oidc, discovery: WELL_KNOWN, configure }
}

/// All personas.
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

/// Appends the suffix to the issuer in the discovery document and in ID tokens, and returns that issuer.
fn set_issuer_suffix(realm: &Realm, suffix: &str) -> String {
    let issuer = format!("{}{suffix}", realm.issuer());
    realm.knobs(|knobs| {
        knobs.discovery.fields.set("issuer", issuer.as_str());
        knobs.id_token.claims.set("iss", issuer.as_str());
    });
    issuer
}

/// Sets or removes `iss` in authorization responses (RFC 9207) and its announcement in the discovery
/// document.
fn set_response_iss(realm: &Realm, issuer: Option<&str>) {
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

/// Changes the authentication method of the first client.
fn set_client_auth(realm: &Realm, auth: fn(String) -> ClientAuth) {
    let Some(client) = realm.first_client() else { return };
    let mut client = (*client).clone();
    client.auth = auth(client.auth.secret().unwrap_or("persona-secret").to_owned());
    realm.put_client(client);
}

fn basic(secret: String) -> ClientAuth {
    ClientAuth::basic(secret)
}

fn post(secret: String) -> ClientAuth {
    ClientAuth::post(secret)
}

fn set_claim(realm: &Realm, name: &str, value: Value) {
    realm.knobs(|knobs| {
        knobs.id_token.claims.set(name, value);
    });
}

fn set_userinfo(realm: &Realm, name: &str, value: Value) {
    realm.knobs(|knobs| {
        knobs.userinfo.fields.set(name, value);
    });
}

/// Changes the signing algorithm. The realm keeps its key if no new key can be generated.
fn sign_with(realm: &Realm, algorithm: SigningAlgorithm) {
    let _ = realm.sign_with(algorithm, OldKeys::Keep);
}

/// Google: `hd` claim, no groups, no logout, and a token response with scopes in another spelling.
fn google(realm: &Realm) {
    set_client_auth(realm, post);
    sign_with(realm, SigningAlgorithm::Rs256);
    set_response_iss(realm, Some(realm.issuer()));
    set_claim(realm, "hd", json!("example.com"));
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("groups").remove("preferred_username").remove("sid");
        knobs.userinfo.fields.remove("groups").remove("preferred_username");
        knobs.discovery.fields.remove("end_session_endpoint").remove("backchannel_logout_supported");
        knobs.token.fields.set("scope", "https://www.googleapis.com/auth/userinfo.profile openid");
    });
}

/// Entra ID, one tenant: a version in the issuer, GUIDs as groups, no `email_verified`, PKCE not announced.
fn entra_id(realm: &Realm) {
    set_client_auth(realm, post);
    sign_with(realm, SigningAlgorithm::Rs256);
    set_issuer_suffix(realm, &format!("/{TENANT}/v2.0"));
    set_response_iss(realm, None);
    entra_claims(realm);
}

/// Entra ID, `organizations`: the issuer is a template, and the token has the issuer of the tenant.
fn entra_id_tenants(realm: &Realm) {
    entra_id(realm);
    realm.knobs(|knobs| {
        let template = format!("{}/{{tenantid}}/v2.0", realm.issuer());
        knobs.discovery.fields.set("issuer", template);
    });
}

fn entra_claims(realm: &Realm) {
    set_claim(realm, "tid", json!(TENANT));
    set_claim(realm, "oid", json!("00000000-0000-0000-66f3-3332eca7ea81"));
    set_claim(realm, "ver", json!("2.0"));
    set_claim(realm, "groups", json!(["0f1e2d3c-0000-4000-8000-00000000aaaa"]));
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("email_verified");
        knobs.userinfo.fields.remove("email_verified").remove("groups");
        knobs.discovery.fields.remove("code_challenge_methods_supported");
        knobs.discovery.fields.remove("backchannel_logout_supported");
        knobs.token.fields.set("expires_in", "3599");
    });
}

/// Auth0: an issuer with a trailing slash, claims named by URLs, `updated_at` as a date text.
fn auth0(realm: &Realm) {
    set_client_auth(realm, post);
    sign_with(realm, SigningAlgorithm::Rs256);
    set_issuer_suffix(realm, "/");
    set_response_iss(realm, None);
    set_claim(realm, "https://app.example.com/roles", json!(["engineering", "admins"]));
    set_claim(realm, "updated_at", json!("2026-11-25T08:00:00.000Z"));
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("groups");
        knobs.userinfo.fields.remove("groups").set("updated_at", "2026-11-25T08:00:00.000Z");
    });
}

/// Okta, a custom authorization server: groups in the ID token, profile claims only at the userinfo endpoint.
fn okta(realm: &Realm) {
    set_client_auth(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    set_issuer_suffix(realm, "/oauth2/default");
    set_response_iss(realm, None);
    set_claim(realm, "groups", json!(["Everyone", "engineering"]));
    realm.knobs(|knobs| knobs.id_token.profile_only_at_userinfo = true);
}

/// Keycloak: nested roles, `session_state` in the authorization response, non-standard token response
/// members.
fn keycloak(realm: &Realm) {
    set_client_auth(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    let issuer = set_issuer_suffix(realm, "/realms/demo");
    set_response_iss(realm, Some(&issuer));
    set_claim(realm, "realm_access", json!({ "roles": ["offline_access", "engineering"] }));
    set_claim(realm, "resource_access", json!({ "my.app/v1": { "roles": ["editor"] } }));
    realm.knobs(|knobs| {
        knobs.authorize.extra = vec![("session_state".to_owned(), "b7f6".to_owned())];
        knobs.token.fields.set("not-before-policy", 0).set("refresh_expires_in", 0);
        knobs.token.fields.set("session_state", "b7f6");
        let encryption_key = json!({
            "kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "kid": "enc-1", "n": "AQAB", "e": "AQAB",
        });
        knobs.jwks.extra_keys = vec![encryption_key];
    });
}

/// authentik: an issuer with a trailing slash, `email_verified` always false.
fn authentik(realm: &Realm) {
    set_client_auth(realm, basic);
    set_issuer_suffix(realm, "/");
    set_response_iss(realm, None);
    set_claim(realm, "email_verified", json!(false));
    set_userinfo(realm, "email_verified", json!(false));
}

/// Authelia: profile claims only at the userinfo endpoint, `iss` announced, no logout.
fn authelia(realm: &Realm) {
    set_client_auth(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    set_response_iss(realm, Some(realm.issuer()));
    realm.knobs(|knobs| {
        knobs.id_token.profile_only_at_userinfo = true;
        knobs.discovery.fields.remove("end_session_endpoint").remove("backchannel_logout_supported");
    });
}

/// Pocket ID: `iss` announced.
fn pocket_id(realm: &Realm) {
    set_client_auth(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    set_response_iss(realm, Some(realm.issuer()));
}

/// Nextcloud's OIDC app: the discovery document has another path.
fn nextcloud(realm: &Realm) {
    set_client_auth(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    set_response_iss(realm, None);
}

/// ZITADEL: roles as object keys in a claim with colons in its name, several audiences.
fn zitadel(realm: &Realm) {
    set_client_auth(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    set_response_iss(realm, None);
    let client = realm.first_client().map(|client| client.id.clone()).unwrap_or_default();
    set_claim(realm, "aud", json!(["311001234567890123@project", client, "311009876543210987"]));
    set_claim(realm, "azp", json!(client));
    let roles = json!({ "editor": { "3110": "org.example.com" }, "admin": { "3110": "org.example.com" } });
    set_claim(realm, "urn:zitadel:iam:org:project:roles", roles);
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("groups");
    });
}

/// GitLab: groups at the userinfo endpoint, direct groups in the ID token under another name.
fn gitlab(realm: &Realm) {
    set_client_auth(realm, post);
    sign_with(realm, SigningAlgorithm::Rs256);
    set_response_iss(realm, None);
    set_claim(realm, "groups_direct", json!(["acme"]));
    set_userinfo(realm, "groups", json!(["acme", "acme/backend"]));
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("groups");
        knobs.discovery.fields.remove("end_session_endpoint").remove("backchannel_logout_supported");
    });
}

/// GitHub: a number as identifier, no name, e-mail addresses at another endpoint, form-encoded token
/// responses.
fn github(realm: &Realm) {
    set_client_auth(realm, post);
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

/// Apple: an unsigned name in the authorization response, `"true"` as text, no userinfo endpoint, no logout.
fn apple(realm: &Realm) {
    set_client_auth(realm, post);
    sign_with(realm, SigningAlgorithm::Rs256);
    set_response_iss(realm, None);
    set_claim(realm, "email_verified", json!("true"));
    set_claim(realm, "is_private_email", json!("true"));
    set_claim(realm, "nonce_supported", json!(true));
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("name").remove("preferred_username").remove("groups").remove("sid");
        knobs.discovery.fields.remove("userinfo_endpoint").remove("end_session_endpoint");
        knobs.discovery.fields.remove("backchannel_logout_supported");
        let user = r#"{"name":{"firstName":"Admin","lastName":"Istrator"},"email":"admin@example.org"}"#;
        knobs.authorize.extra = vec![("user".to_owned(), user.to_owned())];
    });
}

/// Discord: `id` in place of `sub`, `verified` in place of `email_verified`.
fn discord(realm: &Realm) {
    set_client_auth(realm, post);
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

/// `LinkedIn`: no `nonce` in the ID token, PKCE not announced, `"true"` as text, `locale` as an object.
fn linkedin(realm: &Realm) {
    set_client_auth(realm, post);
    sign_with(realm, SigningAlgorithm::Rs256);
    set_issuer_suffix(realm, "/oauth");
    set_response_iss(realm, None);
    set_claim(realm, "email_verified", json!("true"));
    set_claim(realm, "locale", json!({ "country": "US", "language": "en" }));
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("nonce").remove("groups");
        knobs.discovery.fields.remove("end_session_endpoint").remove("code_challenge_methods_supported");
    });
}

/// `LemonLDAP::NG` with a directory: `aud` as a list of one, groups of the directory in one text.
fn lemonldap(realm: &Realm) {
    set_client_auth(realm, basic);
    sign_with(realm, SigningAlgorithm::Rs256);
    set_response_iss(realm, None);
    let client = realm.first_client().map(|client| client.id.clone()).unwrap_or_default();
    set_claim(realm, "aud", json!([client]));
    realm.knobs(|knobs| {
        knobs.id_token.profile_only_at_userinfo = true;
        knobs.userinfo.fields.set("groups", "engineering,admins");
    });
}
