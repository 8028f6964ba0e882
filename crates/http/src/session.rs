//! The session: who is signed in, how it goes on, how it ends.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use portico_core::clock::Timestamp;
use portico_core::error::SessionError;
use portico_core::flow::{Broker, SignedIn, Tokens};
use portico_core::session::RefreshToken;
use portico_core::token::groups_of;
use serde::Serialize;
use url::Url;
use uuid::Uuid;

use crate::cookies::RequestCookies;
use crate::csrf::{self, CSRF_HEADER};
use crate::error::ApiError;
use crate::extract::{Credentials, RefreshBody};
use crate::limits::{RefreshLimit, Within};
use crate::meter;
use crate::request_context::RequestContext;
use crate::{Portico, rfc3339};

/// What a login or a refresh gives to whoever asked (RFC 6749 5.1).
#[derive(Serialize)]
pub(crate) struct TokenAnswer<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_to: Option<&'a str>,
}

#[derive(Serialize)]
struct SessionAnswer<'a> {
    account: AccountAnswer<'a>,
    groups: Option<Vec<String>>,
    /// The provider said that there are more groups than it sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    groups_overage: bool,
    idp: String,
    auth_time: String,
    expires_at: String,
    session_expires_at: String,
}

#[derive(Serialize)]
struct AccountAnswer<'a> {
    id: Uuid,
    name: &'a str,
    label: &'a str,
    email: Option<&'a str>,
    email_verified: Option<bool>,
    roles: Vec<String>,
}

#[derive(Serialize)]
struct LogoutAnswer {
    logout_url: Option<String>,
}

impl<'a> TokenAnswer<'a> {
    pub(crate) fn of(tokens: &'a Tokens) -> Self {
        Self {
            access_token: &tokens.access,
            token_type: "Bearer",
            expires_in: tokens.expires_in,
            refresh_token: None,
            return_to: None,
        }
    }

    /// With the address to go on to.
    pub(crate) fn leading_to(self, return_to: &'a Url) -> Self {
        Self { return_to: Some(return_to.as_str()), ..self }
    }

    /// With the refresh token, for a program that keeps its own.
    pub(crate) fn revealing(self, tokens: &'a Tokens) -> Self {
        Self { refresh_token: Some(tokens.refresh.reveal()), ..self }
    }
}

impl<'a> SessionAnswer<'a> {
    fn of(signed_in: &'a SignedIn, roles: Vec<String>) -> Self {
        let (account, session) = (&signed_in.entry.account, &signed_in.entry.session);
        Self {
            account: AccountAnswer {
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

impl LogoutAnswer {
    fn of(logout_url: Option<Url>) -> Self {
        Self { logout_url: logout_url.map(Url::into) }
    }
}

/// `GET /auth/session`. The CSRF value is repeated either way, for scripts that cannot read the cookie.
pub(crate) async fn show(portico: Data<Portico>, credentials: Credentials) -> Result<HttpResponse, ApiError> {
    let csrf = credentials.csrf();
    let found = async { portico.broker().signed_in(credentials.access()?).await };
    let signed_in = found.await.map_err(|error| match csrf {
        Some(csrf) => ApiError::from(error).with(CSRF_HEADER, csrf),
        None => error.into(),
    })?;
    let mut answer = HttpResponse::Ok();
    if let Some(csrf) = csrf {
        answer.insert_header((CSRF_HEADER, csrf));
    }
    Ok(answer.json(SessionAnswer::of(&signed_in, portico.broker().roles(&signed_in.entry))))
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
            Ok(HttpResponse::Ok().json(TokenAnswer::of(&tokens).revealing(&tokens)))
        }
        (RefreshBody::Empty, Credentials::Cookies(request_cookies)) => {
            let tokens = refresh_by_cookie(&portico, &context, &request, &request_cookies).await?;
            Ok(set_session_cookies(HttpResponse::Ok(), &portico, &tokens).json(TokenAnswer::of(&tokens)))
        }
        // A request with an Authorization header is judged by it alone.
        (_, Credentials::Header(_)) => {
            Err(SessionError::Invalid("an Authorization header is nothing to refresh by").into())
        }
    }
}

async fn refresh_by_cookie(
    portico: &Portico,
    context: &RequestContext,
    request: &HttpRequest,
    request_cookies: &RequestCookies,
) -> Result<Tokens, ApiError> {
    let broker = portico.broker();
    let token = request_cookies.refresh.as_ref().ok_or(SessionError::Invalid("there is no refresh token"))?;
    let session = broker.session_of(None, Some(token)).await?;
    let session = session.ok_or(SessionError::Invalid("the refresh token is unknown"))?;
    csrf::check(portico, request, request_cookies.csrf.as_deref(), session)?;
    Ok(refresh_session(broker, token, context).await?)
}

/// Goes on with a session, and counts it.
pub(crate) async fn refresh_session(
    broker: &Broker,
    token: &RefreshToken,
    context: &RequestContext,
) -> Result<Tokens, SessionError> {
    let result = broker.refresh(token, context.caller()).await;
    meter::refresh(&result);
    result
}

/// `POST /auth/logout`. Without a session it is no error: who wants to be signed out, is.
pub(crate) async fn sign_out(
    portico: Data<Portico>,
    context: RequestContext,
    request: HttpRequest,
    credentials: Credentials,
) -> Result<HttpResponse, ApiError> {
    let broker = portico.broker();
    let request_cookies = match credentials {
        Credentials::Header(token) => {
            let session = token
                .and_then(|token| broker.verify_access_token(&token).ok())
                .map(|claims| claims.session());
            let logout_url = match session {
                Some(session) => broker.sign_out(session, context.caller()).await?,
                None => None,
            };
            return Ok(HttpResponse::Ok().json(LogoutAnswer::of(logout_url)));
        }
        Credentials::Cookies(request_cookies) => request_cookies,
    };
    let mut answer = HttpResponse::Ok();
    let mut logout_url = None;
    if let Some(session) = request_cookies.session(broker).await?
        && broker.is_live(session).await?
    {
        csrf::check(&portico, &request, request_cookies.csrf.as_deref(), session)?;
        logout_url = broker.sign_out(session, context.caller()).await?;
        // With a single button the next press would sign the same person in again, unasked (threats M26).
        if broker.slots().count() == 1 {
            answer.cookie(portico.front.cookies.signed_out());
        }
    }
    for cookie in portico.front.cookies.session_gone() {
        answer.cookie(cookie);
    }
    Ok(answer.json(LogoutAnswer::of(logout_url)))
}

/// Adds a session's cookies to an answer.
pub(crate) fn set_session_cookies(
    mut answer: HttpResponseBuilder,
    portico: &Portico,
    tokens: &Tokens,
) -> HttpResponseBuilder {
    let broker = portico.broker();
    meter::token(tokens.access.len());
    let csrf = broker.csrf(tokens.entry.session.id);
    for cookie in portico.front.cookies.session(tokens, csrf, broker.clock().now()) {
        answer.cookie(cookie);
    }
    answer
}
