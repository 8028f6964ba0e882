//! Self-service: a signed-in user lists and removes their own identities and sessions.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Data, Json, Path};
use portico_core::account::Identity;
use portico_core::error::SessionError;
use portico_core::session::{Session, SessionId};
use serde::Serialize;
use uuid::Uuid;

use crate::error::{ApiError, Cause};
use crate::request::context::RequestContext;
use crate::request::cookies::RequestCookies;
use crate::request::credentials::Owner;
use crate::request::login_params::LoginQuery;
use crate::request::slot::RequestedSlot;
use crate::state::Portico;
use crate::time::rfc3339;

/// The response to a link.
#[derive(Serialize)]
struct Location {
    location: String,
}

/// The account's identities.
#[derive(Serialize)]
pub(crate) struct Identities {
    identities: Vec<IdentityResponse>,
}

#[derive(Serialize)]
struct IdentityResponse {
    id: Uuid,
    protocol: &'static str,
    slot: &'static str,
    issuer: String,
    subject: String,
    email: Option<String>,
    linked_at: String,
    last_login_at: String,
}

/// The account's live sessions.
#[derive(Serialize)]
pub(crate) struct SessionList {
    sessions: Vec<SessionResponse>,
}

#[derive(Serialize)]
struct SessionResponse {
    id: Uuid,
    current: bool,
    idp: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    user_agent: Option<String>,
    ip: Option<String>,
}

impl From<Identity> for IdentityResponse {
    fn from(identity: Identity) -> Self {
        Self {
            id: identity.id,
            protocol: identity.key.protocol.as_str(),
            slot: identity.slot.name.as_str(),
            issuer: identity.key.issuer,
            subject: identity.key.subject.as_str().to_owned(),
            email: identity.email,
            linked_at: rfc3339(identity.linked_at),
            last_login_at: rfc3339(identity.last_login_at),
        }
    }
}

impl SessionResponse {
    fn new(session: Session, current: SessionId) -> Self {
        Self {
            id: session.id.0,
            current: session.id == current,
            idp: session.idp(),
            created_at: rfc3339(session.created_at),
            last_used_at: rfc3339(session.last_used_at),
            expires_at: rfc3339(session.expires_at),
            user_agent: session.user_agent,
            ip: session.ip,
        }
    }
}

/// `POST /auth/{protocol}/{slot}/link`: only by cookie, because the callback has no other credentials.
pub(crate) async fn link(
    portico: Data<Portico>,
    slot: RequestedSlot,
    params: LoginQuery,
    cookies: RequestCookies,
    owner: Owner,
) -> Result<HttpResponse, ApiError> {
    if !owner.by_cookie {
        return Err(Cause::Csrf("an identity is linked by the cookies of a session only").into());
    }
    let slot = slot.id();
    let started = portico.broker().login().begin_link(slot, &params.return_to, &owner.signed_in).await;
    let started = started.map_err(|error| ApiError::from(error).at(slot).api_only())?;
    let rules = &portico.front().cookies;
    let mut response = HttpResponse::Ok();
    response.cookie(rules.login(started.cookie));
    for evicted in cookies.evicted() {
        response.cookie(rules.delete_login(&evicted));
    }
    Ok(response.json(Location { location: started.location.into() }))
}

/// `GET /auth/identities`
pub(crate) async fn identities(portico: Data<Portico>, owner: Owner) -> Result<Json<Identities>, ApiError> {
    let identities = portico.broker().self_service().identities(&owner.signed_in).await?;
    Ok(Json(Identities { identities: identities.into_iter().map(IdentityResponse::from).collect() }))
}

/// `DELETE /auth/identities/{id}`
pub(crate) async fn unlink(
    portico: Data<Portico>,
    context: RequestContext,
    owner: Owner,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let identity = id.parse().map_err(|_| SessionError::NotFound("identity"))?;
    portico.broker().self_service().unlink(&owner.signed_in, identity, context.caller()).await?;
    Ok(ended(&portico, owner.by_cookie && owner.signed_in.entry.session.identity == Some(identity)))
}

/// `GET /auth/sessions`
pub(crate) async fn sessions(portico: Data<Portico>, owner: Owner) -> Result<Json<SessionList>, ApiError> {
    let current = owner.signed_in.entry.session.id;
    let sessions = portico.broker().self_service().sessions(&owner.signed_in).await?;
    let sessions = sessions.into_iter().map(|session| SessionResponse::new(session, current)).collect();
    Ok(Json(SessionList { sessions }))
}

/// `DELETE /auth/sessions/{id}`
pub(crate) async fn end_session(
    portico: Data<Portico>,
    context: RequestContext,
    owner: Owner,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = SessionId(id.parse().map_err(|_| SessionError::NotFound("session"))?);
    portico.broker().self_service().end_session(&owner.signed_in, id, context.caller()).await?;
    Ok(ended(&portico, owner.by_cookie && id == owner.signed_in.entry.session.id))
}

/// `DELETE /auth/sessions`: signs out everywhere.
pub(crate) async fn end_sessions(
    portico: Data<Portico>,
    context: RequestContext,
    owner: Owner,
) -> Result<HttpResponse, ApiError> {
    portico.broker().self_service().end_sessions(&owner.signed_in, context.caller()).await?;
    Ok(ended(&portico, owner.by_cookie))
}

/// 204. Deletes the browser's cookies if its own session ended.
fn ended(portico: &Portico, own: bool) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    if own {
        for cookie in portico.front().cookies.delete_session() {
            response.append_header((header::SET_COOKIE, cookie.to_string()));
        }
    }
    response.finish()
}
