//! What a signed-in person sees and changes of their own: identities and sessions.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Data, Json, Path};
use portico_core::account::Identity;
use portico_core::error::SessionError;
use portico_core::session::{Session, SessionId};
use serde::Serialize;
use uuid::Uuid;

use crate::cookies::RequestCookies;
use crate::error::{ApiError, Cause};
use crate::extract::{LoginQuery, Owner, SlotPath};
use crate::request_context::RequestContext;
use crate::{Portico, rfc3339};

#[derive(Serialize)]
struct Location {
    location: String,
}

/// The person's identities.
#[derive(Serialize)]
pub(crate) struct Identities {
    identities: Vec<IdentityAnswer>,
}

#[derive(Serialize)]
struct IdentityAnswer {
    id: Uuid,
    protocol: &'static str,
    slot: &'static str,
    issuer: String,
    subject: String,
    email: Option<String>,
    linked_at: String,
    last_login_at: String,
}

/// The person's live sessions.
#[derive(Serialize)]
pub(crate) struct Sessions {
    sessions: Vec<SessionAnswer>,
}

#[derive(Serialize)]
struct SessionAnswer {
    id: Uuid,
    current: bool,
    idp: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    user_agent: Option<String>,
    ip: Option<String>,
}

impl From<Identity> for IdentityAnswer {
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

impl SessionAnswer {
    fn of(session: Session, current: SessionId) -> Self {
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

/// `POST /auth/{protocol}/{slot}/link`: only with cookies, since the callback will have nothing else.
pub(crate) async fn link(
    portico: Data<Portico>,
    SlotPath(slot): SlotPath,
    login_params: LoginQuery,
    request_cookies: RequestCookies,
    owner: Owner,
) -> Result<HttpResponse, ApiError> {
    if !owner.by_cookie {
        let why = "an identity is linked within a session of this browser, by its cookies";
        return Err(Cause::Csrf(why).into());
    }
    let started =
        portico.broker().begin_link(slot, login_params.return_to.as_deref(), &owner.signed_in).await;
    let started = started.map_err(|error| ApiError::from(error).at(slot).for_a_program())?;
    let cookies = &portico.front.cookies;
    let mut answer = HttpResponse::Ok();
    answer.cookie(cookies.login(started.cookie));
    for oldest in request_cookies.evicted() {
        answer.cookie(cookies.login_gone(&oldest));
    }
    Ok(answer.json(Location { location: started.location.into() }))
}

/// `GET /auth/identities`
pub(crate) async fn identities(portico: Data<Portico>, owner: Owner) -> Result<Json<Identities>, ApiError> {
    let identities = portico.broker().identities(&owner.signed_in).await?;
    Ok(Json(Identities { identities: identities.into_iter().map(IdentityAnswer::from).collect() }))
}

/// `DELETE /auth/identities/{id}`
pub(crate) async fn unlink(
    portico: Data<Portico>,
    context: RequestContext,
    owner: Owner,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let identity = id.parse().map_err(|_| SessionError::NotFound("identity"))?;
    portico.broker().unlink(&owner.signed_in, identity, context.caller()).await?;
    Ok(ended(&portico, owner.by_cookie && owner.signed_in.entry.session.identity == Some(identity)))
}

/// `GET /auth/sessions`
pub(crate) async fn sessions(portico: Data<Portico>, owner: Owner) -> Result<Json<Sessions>, ApiError> {
    let current = owner.signed_in.entry.session.id;
    let sessions = portico.broker().own_sessions(&owner.signed_in).await?;
    let sessions = sessions.into_iter().map(|session| SessionAnswer::of(session, current)).collect();
    Ok(Json(Sessions { sessions }))
}

/// `DELETE /auth/sessions/{id}`
pub(crate) async fn end_session(
    portico: Data<Portico>,
    context: RequestContext,
    owner: Owner,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = SessionId(id.parse().map_err(|_| SessionError::NotFound("session"))?);
    portico.broker().end_own_session(&owner.signed_in, id, context.caller()).await?;
    Ok(ended(&portico, owner.by_cookie && id == owner.signed_in.entry.session.id))
}

/// `DELETE /auth/sessions`: sign out everywhere.
pub(crate) async fn end_sessions(
    portico: Data<Portico>,
    context: RequestContext,
    owner: Owner,
) -> Result<HttpResponse, ApiError> {
    portico.broker().end_own_sessions(&owner.signed_in, context.caller()).await?;
    Ok(ended(&portico, owner.by_cookie))
}

/// 204; the browser's own cookies go with their session, if it is among those that ended.
fn ended(portico: &Portico, own: bool) -> HttpResponse {
    let mut answer = HttpResponse::NoContent();
    if own {
        for cookie in portico.front.cookies.session_gone() {
            answer.append_header((header::SET_COOKIE, cookie.to_string()));
        }
    }
    answer.finish()
}
