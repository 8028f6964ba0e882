//! What an access token opens: userinfo, and the list of e-mail addresses in GitHub's form.

use actix_web::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::answer::IdpResponse;
use crate::config::RealmKind;
use crate::grants::Consent;
use crate::mint;
use crate::params::Params;
use crate::realm::Realm;
use crate::traffic::Endpoint;
use crate::world::{InRealm, World};

/// `GET` or `POST /userinfo` (OIDC Core 5.3).
pub(crate) async fn userinfo(
    InRealm(realm): InRealm,
    world: web::Data<World>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    realm.traffic.record(Endpoint::Userinfo, &request, &body);
    let knobs = realm.current_knobs();
    let usual = || {
        if knobs.userinfo.only_post && request.method() != Method::POST {
            return IdpResponse::json(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "invalid_request" }));
        }
        match bearer(&realm, &request) {
            Ok(consent) => tell(&world, &realm, &consent),
            Err(refused) => refused.response(),
        }
    };
    knobs.userinfo.answer.deliver(usual).await
}

/// `GET /emails` on a plain OAuth 2.0 realm.
pub(crate) async fn emails(InRealm(realm): InRealm, request: HttpRequest) -> HttpResponse {
    realm.traffic.record(Endpoint::Emails, &request, &[]);
    if realm.kind() == RealmKind::Oidc {
        return HttpResponse::NotFound().finish();
    }
    let knobs = realm.current_knobs();
    let usual = || match bearer(&realm, &request) {
        Ok(consent) => {
            let list = knobs.emails.replace.clone().unwrap_or_else(|| addresses(&consent));
            IdpResponse::json(StatusCode::OK, &list).not_stored()
        }
        Err(refused) => refused.response(),
    };
    knobs.emails.answer.deliver(usual).await
}

/// `GET /groups`: the groups of a person, a page at a time, in the form of Google Cloud Identity.
pub(crate) async fn groups(InRealm(realm): InRealm, request: HttpRequest) -> HttpResponse {
    realm.traffic.record(Endpoint::Groups, &request, &[]);
    let knobs = realm.current_knobs();
    let usual = || match bearer(&realm, &request) {
        Ok(consent) if !consent.scope.has(GROUPS_SCOPE) => Refused::InsufficientScope.response(),
        Ok(consent) => {
            let page = || memberships(&consent, &request, knobs.groups.page);
            IdpResponse::json(StatusCode::OK, &knobs.groups.replace.clone().unwrap_or_else(page)).not_stored()
        }
        Err(refused) => refused.response(),
    };
    knobs.groups.answer.deliver(usual).await
}

/// What opens the look-up of groups.
const GROUPS_SCOPE: &str = "https://www.googleapis.com/auth/cloud-identity.groups.readonly";

fn memberships(consent: &Consent, request: &HttpRequest, page: Option<usize>) -> Value {
    let params = Params::parse(request.query_string().as_bytes()).ok();
    let find =
        |name: &str| params.as_ref().and_then(|params| params.find(name)).unwrap_or_default().to_owned();
    let person = &consent.person;
    let asked = format!(
        "member_key_id == '{}' && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels",
        person.email.as_deref().unwrap_or_default()
    );
    let known: &[String] = if find("query") == asked { &person.groups } else { &[] };
    let from: usize = find("pageToken").parse().unwrap_or_default();
    let until = page.map_or(known.len(), |page| known.len().min(from + page));
    let one = |name: &String| json!({ "group": format!("groups/{name}"), "groupKey": { "id": format!("{name}@example.com") }, "displayName": name });
    let mut answer = json!({ "memberships": known.get(from..until).unwrap_or_default().iter().map(one).collect::<Vec<_>>() });
    if let (true, Some(members)) = (until < known.len(), answer.as_object_mut()) {
        members.insert("nextPageToken".into(), json!(until.to_string()));
    }
    answer
}

fn addresses(consent: &Consent) -> Value {
    let person = &consent.person;
    let one = |email| json!({ "email": email, "primary": true, "verified": person.email_verified });
    Value::Array(person.email.iter().map(one).collect())
}

fn tell(world: &World, realm: &Realm, consent: &Consent) -> IdpResponse {
    let knobs = realm.current_knobs();
    let mut members = Map::new();
    members.insert("sub".into(), json!(consent.person.sub));
    members.extend(mint::person_claims(consent));
    if knobs.userinfo.as_jwt {
        members.insert("iss".into(), json!(realm.issuer()));
        members.insert("aud".into(), json!(consent.client_id));
    }
    knobs.userinfo.fields.apply(&mut members);
    if !knobs.userinfo.as_jwt {
        return IdpResponse::json(StatusCode::OK, &Value::Object(members)).not_stored();
    }
    match mint::sign(world, realm, &consent.client_id, members, "JWT") {
        Ok(token) => IdpResponse::text(StatusCode::OK, "application/jwt", token).not_stored(),
        Err(_) => IdpResponse::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "server_error" }))
            .not_stored(),
    }
}

/// Why an access token opens nothing (RFC 6750, 3.1).
#[derive(Clone, Copy)]
enum Refused {
    NoToken,
    InvalidToken,
    InsufficientScope,
}

impl Refused {
    fn response(self) -> IdpResponse {
        let (status, challenge, error) = match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "Bearer", "invalid_request"),
            Self::InvalidToken => {
                (StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\"", "invalid_token")
            }
            Self::InsufficientScope => {
                (StatusCode::FORBIDDEN, "Bearer error=\"insufficient_scope\"", "insufficient_scope")
            }
        };
        IdpResponse::json(status, &json!({ "error": error }))
            .not_stored()
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }
}

/// What the bearer token in the `Authorization` header stands for. Query and body are not looked at (RFC 9700, 4.3.2).
fn bearer(realm: &Realm, request: &HttpRequest) -> Result<Consent, Refused> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = header.and_then(|value| value.split_once(' ')).ok_or(Refused::NoToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refused::NoToken);
    }
    let consent = realm.grants.find_access(token.trim(), realm.now()).ok_or(Refused::InvalidToken)?;
    if realm.kind() == RealmKind::Oidc && !consent.scope.has("openid") {
        return Err(Refused::InsufficientScope);
    }
    Ok(consent)
}
