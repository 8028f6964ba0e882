//! The resources of an access token: userinfo, e-mail addresses in GitHub's format, and groups in Google's.

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
use crate::state::{ProviderState, RealmFromPath};
use crate::traffic::Endpoint;

/// `GET` or `POST /userinfo` (OIDC Core 5.3).
pub(crate) async fn userinfo(
    RealmFromPath(realm): RealmFromPath,
    state: web::Data<ProviderState>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    realm.traffic.record(Endpoint::Userinfo, &request, &body);
    let knobs = realm.current_knobs();
    let usual = || {
        if knobs.userinfo.only_post && request.method() != Method::POST {
            return IdpResponse::json(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "invalid_request" }));
        }
        match find_bearer_consent(&realm, &request) {
            Ok(consent) => userinfo_response(&state, &realm, &consent),
            Err(error) => error.response(),
        }
    };
    knobs.userinfo.answer.respond(usual).await
}

/// `GET /emails` on a plain OAuth 2.0 realm.
pub(crate) async fn emails(RealmFromPath(realm): RealmFromPath, request: HttpRequest) -> HttpResponse {
    realm.traffic.record(Endpoint::Emails, &request, &[]);
    if realm.kind() == RealmKind::Oidc {
        return HttpResponse::NotFound().finish();
    }
    let knobs = realm.current_knobs();
    let usual = || match find_bearer_consent(&realm, &request) {
        Ok(consent) => {
            let list = knobs.emails.replace.clone().unwrap_or_else(|| addresses(&consent));
            IdpResponse::json(StatusCode::OK, &list).no_store()
        }
        Err(error) => error.response(),
    };
    knobs.emails.answer.respond(usual).await
}

/// `GET /groups`: one page of the person's groups, in the format of Google Cloud Identity.
pub(crate) async fn groups(RealmFromPath(realm): RealmFromPath, request: HttpRequest) -> HttpResponse {
    realm.traffic.record(Endpoint::Groups, &request, &[]);
    let knobs = realm.current_knobs();
    let usual = || match find_bearer_consent(&realm, &request) {
        Ok(consent) if !consent.scope.contains(GROUPS_SCOPE) => BearerError::InsufficientScope.response(),
        Ok(consent) => {
            let page = || memberships(&consent, &request, knobs.groups.page);
            IdpResponse::json(StatusCode::OK, &knobs.groups.replace.clone().unwrap_or_else(page)).no_store()
        }
        Err(error) => error.response(),
    };
    knobs.groups.answer.respond(usual).await
}

/// The scope of the group look-up.
const GROUPS_SCOPE: &str = "https://www.googleapis.com/auth/cloud-identity.groups.readonly";

fn memberships(consent: &Consent, request: &HttpRequest, page: Option<usize>) -> Value {
    let params = Params::parse(request.query_string().as_bytes()).ok();
    let find =
        |name: &str| params.as_ref().and_then(|params| params.find(name)).unwrap_or_default().to_owned();
    let person = &consent.person;
    let expected_query = format!(
        "member_key_id == '{}' && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels",
        person.email.as_deref().unwrap_or_default()
    );
    let groups: &[String] = if find("query") == expected_query { &person.groups } else { &[] };
    let start: usize = find("pageToken").parse().unwrap_or_default();
    let end = page.map_or(groups.len(), |page| groups.len().min(start + page));
    let listed: Vec<Value> =
        groups.get(start..end).unwrap_or_default().iter().map(|name| membership(name)).collect();
    let mut document = Map::new();
    document.insert("memberships".into(), json!(listed));
    if end < groups.len() {
        document.insert("nextPageToken".into(), json!(end.to_string()));
    }
    Value::Object(document)
}

fn membership(group: &str) -> Value {
    json!({
        "group": format!("groups/{group}"),
        "groupKey": { "id": format!("{group}@example.com") },
        "displayName": group,
    })
}

fn addresses(consent: &Consent) -> Value {
    let person = &consent.person;
    let entry = |email| json!({ "email": email, "primary": true, "verified": person.email_verified });
    Value::Array(person.email.iter().map(entry).collect())
}

fn userinfo_response(state: &ProviderState, realm: &Realm, consent: &Consent) -> IdpResponse {
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
        return IdpResponse::json(StatusCode::OK, &Value::Object(members)).no_store();
    }
    match mint::sign(state, realm, &consent.client_id, members, "JWT") {
        Ok(token) => IdpResponse::text(StatusCode::OK, "application/jwt", token).no_store(),
        Err(_) => IdpResponse::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "server_error" }))
            .no_store(),
    }
}

/// The reason why a bearer token is refused (RFC 6750, 3.1).
#[derive(Clone, Copy)]
enum BearerError {
    NoToken,
    InvalidToken,
    InsufficientScope,
}

impl BearerError {
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
            .no_store()
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }
}

/// The consent of the bearer token in the `Authorization` header.
///
/// Tokens in the query or the body are ignored (RFC 9700, 4.3.2).
fn find_bearer_consent(realm: &Realm, request: &HttpRequest) -> Result<Consent, BearerError> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = header.and_then(|value| value.split_once(' ')).ok_or(BearerError::NoToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(BearerError::NoToken);
    }
    let consent = realm.grants.find_consent(token.trim(), realm.now()).ok_or(BearerError::InvalidToken)?;
    if realm.kind() == RealmKind::Oidc && !consent.scope.contains("openid") {
        return Err(BearerError::InsufficientScope);
    }
    Ok(consent)
}
