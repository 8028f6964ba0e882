//! The session: its claims, refresh and sign-out.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use portico_core::clock::Timestamp;
use portico_core::error::SessionError;
use portico_core::flow::{Broker, SignedIn, Tokens};
use portico_core::session::RefreshToken;
use portico_core::token::groups_of;
use serde::Serialize;
use url::Url;
use uuid::Uuid;

use crate::error::ApiError;
use crate::metrics;
use crate::request::bodies::RefreshBody;
use crate::request::context::RequestContext;
use crate::request::cookies::RequestCookies;
use crate::request::credentials::Credentials;
use crate::request::csrf::{self, CSRF_HEADER};
use crate::request::rate_limit::{RefreshLimit, Within};
use crate::session_response::{TokenResponse, set_session_cookies};
use crate::state::Portico;
use crate::time::rfc3339;

#[derive(Serialize)]
struct SessionResponse<'a> {
    account: AccountResponse<'a>,
    groups: Option<Vec<String>>,
    /// Whether the provider reports more groups than it sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    groups_overage: bool,
    idp: String,
    auth_time: String,
    expires_at: String,
    session_expires_at: String,
}

#[derive(Serialize)]
struct AccountResponse<'a> {
    id: Uuid,
    name: &'a str,
    label: &'a str,
    email: Option<&'a str>,
    email_verified: Option<bool>,
    roles: Vec<String>,
}

#[derive(Serialize)]
struct LogoutResponse {
    logout_url: Option<String>,
}

impl<'a> SessionResponse<'a> {
    fn new(signed_in: &'a SignedIn, roles: Vec<String>) -> Self {
        let (account, session) = (&signed_in.entry.account, &signed_in.entry.session);
        Self {
            account: AccountResponse {
                id: account.id.0,
                name: &account.name,
                label: &account.label,
                email: account.email.as_ref().map(|email| email.address.as_str()),
                email_verified: account.email.as_ref().and_then(|email| email.verified),
                roles,
            },
            groups: groups_of(&signed_in.entry),
            groups_overage: session.session_claims.groups_overage,
            idp: session.idp(),
            auth_time: rfc3339(session.created_at),
            expires_at: rfc3339(Timestamp::from_unix(signed_in.claims.exp)),
            session_expires_at: rfc3339(session.expires_at),
        }
    }
}

impl LogoutResponse {
    fn new(logout_url: Option<Url>) -> Self {
        Self { logout_url: logout_url.map(Url::into) }
    }
}

/// `GET /auth/session`. Every response repeats the CSRF value, for scripts that cannot read the cookie.
pub(crate) async fn show(portico: Data<Portico>, credentials: Credentials) -> Result<HttpResponse, ApiError> {
    let csrf = credentials.csrf();
    let found = async { portico.broker().sessions().signed_in(credentials.access()?).await };
    let signed_in = found.await.map_err(|error| match csrf {
        Some(csrf) => ApiError::from(error).with(CSRF_HEADER, csrf),
        None => error.into(),
    })?;
    let mut response = HttpResponse::Ok();
    if let Some(csrf) = csrf {
        response.insert_header((CSRF_HEADER, csrf));
    }
    Ok(response.json(SessionResponse::new(&signed_in, portico.broker().sessions().roles(&signed_in.entry))))
}

/// `POST /auth/refresh`: with a token in the body, or by cookie.
pub(crate) async fn refresh(
    _: Within<RefreshLimit>,
    portico: Data<Portico>,
    context: RequestContext,
    request: HttpRequest,
    credentials: Credentials,
    body: RefreshBody,
) -> Result<HttpResponse, ApiError> {
    match (body, credentials) {
        (RefreshBody::Token(token), Credentials::Cookies(_)) => {
            let tokens = refresh_session(portico.broker(), &token, &context).await?;
            Ok(HttpResponse::Ok().json(TokenResponse::new(&tokens).with_refresh_token(&tokens)))
        }
        (RefreshBody::Empty, Credentials::Cookies(cookies)) => {
            let tokens = refresh_by_cookie(&portico, &context, &request, &cookies).await?;
            Ok(set_session_cookies(HttpResponse::Ok(), &portico, &tokens).json(TokenResponse::new(&tokens)))
        }
        // If there is an Authorization header, only that counts.
        (_, Credentials::Header(_)) => {
            Err(SessionError::Invalid("an Authorization header cannot refresh a session").into())
        }
    }
}

async fn refresh_by_cookie(
    portico: &Portico,
    context: &RequestContext,
    request: &HttpRequest,
    cookies: &RequestCookies,
) -> Result<Tokens, ApiError> {
    let broker = portico.broker();
    let token = cookies.refresh.as_ref().ok_or(SessionError::Invalid("there is no refresh token"))?;
    let session = broker.sessions().session_of_refresh(token).await?;
    let session = session.ok_or(SessionError::Invalid("the refresh token is unknown"))?;
    csrf::check(portico, request.headers(), cookies.csrf.as_deref(), session)?;
    Ok(refresh_session(broker, token, context).await?)
}

/// Refreshes a session, and counts it.
pub(crate) async fn refresh_session(
    broker: &Broker,
    token: &RefreshToken,
    context: &RequestContext,
) -> Result<Tokens, SessionError> {
    let result = broker.sessions().refresh(token, context.caller()).await;
    metrics::refresh(&result);
    result
}

/// `POST /auth/logout`. Also 200 without a session.
pub(crate) async fn sign_out(
    portico: Data<Portico>,
    context: RequestContext,
    request: HttpRequest,
    credentials: Credentials,
) -> Result<HttpResponse, ApiError> {
    match credentials {
        Credentials::Header(token) => sign_out_by_token(&portico, &context, token).await,
        Credentials::Cookies(cookies) => sign_out_by_cookie(&portico, &context, &request, &cookies).await,
    }
}

async fn sign_out_by_token(
    portico: &Portico,
    context: &RequestContext,
    token: Option<String>,
) -> Result<HttpResponse, ApiError> {
    let broker = portico.broker();
    let claims = token.and_then(|token| broker.sessions().verify(&token).ok());
    let logout_url = match claims.map(|claims| claims.session()) {
        Some(session) => broker.sessions().sign_out(session, context.caller()).await?,
        None => None,
    };
    Ok(HttpResponse::Ok().json(LogoutResponse::new(logout_url)))
}

async fn sign_out_by_cookie(
    portico: &Portico,
    context: &RequestContext,
    request: &HttpRequest,
    cookies: &RequestCookies,
) -> Result<HttpResponse, ApiError> {
    let (broker, rules) = (portico.broker(), &portico.front().cookies);
    let mut response = HttpResponse::Ok();
    let mut logout_url = None;
    if let Some(session) = cookies.session(broker).await?
        && broker.sessions().is_live(session).await?
    {
        csrf::check(portico, request.headers(), cookies.csrf.as_deref(), session)?;
        logout_url = broker.sessions().sign_out(session, context.caller()).await?;
        // With a single button, the next login would sign the same user in again without a prompt (threats
        // M26).
        if broker.slots().iter().len() == 1 {
            response.cookie(rules.signed_out());
        }
    }
    for cookie in rules.delete_session() {
        response.cookie(cookie);
    }
    Ok(response.json(LogoutResponse::new(logout_url)))
}
