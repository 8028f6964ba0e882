//! What a refusal looks like: a stable code and our own sentence for the stranger, everything else for the log.
//!
//! Nothing of the request, the provider or a claim is repeated in an answer (threats 1).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use portico_core::error::StoreError;
use portico_core::error::{Code, LoginError, SessionError};
use portico_core::slot::SlotId;
use serde::Serialize;
use url::Url;

use crate::request_context::RequestContext;
use crate::{Front, pages};

/// When to try again what a store that is away could not do, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// A refused request.
pub(crate) struct ApiError {
    cause: Box<Cause>,
    slot: Option<SlotId>,
    /// Whoever asked can do nothing with a page, whatever the request says.
    program: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// A login did not come about.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// A session is not accepted.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A login was asked for by something that cannot follow it to the provider.
    #[error("the request is not a navigation")]
    NotANavigation {
        /// Where to navigate instead.
        login_url: Url,
    },
    /// A proxy asks for a request that nobody is signed in for.
    #[error("{why}")]
    Unverified {
        /// Why not.
        why: &'static str,
        /// Where to sign in.
        login_url: Url,
    },
    /// A proxy asks for a request whose person has none of the roles or groups it needs.
    #[error("the person has none of the roles or groups that are needed")]
    Forbidden,
    /// A request by cookie without proof that our own page sent it.
    #[error("{0}")]
    Csrf(&'static str),
    /// The request is malformed.
    #[error("{0}")]
    BadRequest(&'static str),
    /// There is no such path.
    #[error("no such path")]
    NotFound,
    /// The path exists, the method does not.
    #[error("the path has no such method")]
    MethodNotAllowed,
    /// The body is of another type than the address takes.
    #[error("the body is not of the type that the address takes")]
    UnsupportedMediaType,
    /// A part of the request is too large.
    #[error("the {0:?} of the request is too large")]
    TooLarge(Part),
    /// The client's address has asked too often.
    #[error("too many requests for {what} from this address")]
    TooOften {
        /// What it asked for.
        what: &'static str,
    },
    /// The answer took too long to come about.
    #[error("the request took too long")]
    Overdue,
    /// A broken promise of our own.
    #[error("internal: {0}")]
    Internal(&'static str),
}

/// The parts of a request that have limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The body.
    Body,
    /// The address.
    Url,
    /// All headers together.
    Headers,
}

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_url: Option<&'a str>,
}

impl Cause {
    fn code(&self) -> Code {
        match self {
            Self::Login(error) => error.code(),
            Self::Session(error) => error.code(),
            Self::NotANavigation { .. } | Self::Unverified { .. } => Code::SessionInvalid,
            Self::Forbidden => Code::Forbidden,
            Self::Csrf(_) => Code::CsrfFailed,
            Self::BadRequest(_) => Code::BadRequest,
            Self::NotFound => Code::NotFound,
            Self::MethodNotAllowed => Code::MethodNotAllowed,
            Self::UnsupportedMediaType => Code::UnsupportedMediaType,
            Self::TooLarge(_) => Code::TooLarge,
            Self::TooOften { .. } => Code::RateLimited,
            Self::Overdue => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }

    fn status(&self) -> StatusCode {
        if let Self::TooLarge(part) = self { part.status() } else { face(self.code()).0 }
    }
}

impl Part {
    const fn status(self) -> StatusCode {
        match self {
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Url => StatusCode::URI_TOO_LONG,
            Self::Headers => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }
}

/// Status and sentence of each code; `docs/errors.md` explains them.
const fn face(code: Code) -> (StatusCode, &'static str) {
    match code {
        Code::BadRequest => {
            (StatusCode::BAD_REQUEST, "The request is malformed, or leads to an address that is not allowed.")
        }
        Code::LoginStateInvalid => (
            StatusCode::BAD_REQUEST,
            "This login is not open in this browser: it took too long, was used already, or began elsewhere.",
        ),
        Code::LoginMixup => {
            (StatusCode::BAD_REQUEST, "The answer did not come from the provider that was asked.")
        }
        Code::CodeRejected => (StatusCode::UNAUTHORIZED, "The provider did not confirm the login."),
        Code::IdpTokenMissing => (StatusCode::UNAUTHORIZED, "The provider did not say who signed in."),
        Code::IdpTokenInvalid => {
            (StatusCode::UNAUTHORIZED, "What the provider said about the login did not pass the checks.")
        }
        Code::IdpClaimsIncomplete => (StatusCode::UNAUTHORIZED, "The provider left out who signed in."),
        Code::SessionInvalid => (StatusCode::UNAUTHORIZED, "The session is missing, expired or revoked."),
        Code::IdpDenied => {
            (StatusCode::FORBIDDEN, "The provider did not let you in, or you cancelled there.")
        }
        Code::LoginNotAllowed => (StatusCode::FORBIDDEN, "You may not use this application."),
        Code::AccountDisabled => {
            (StatusCode::FORBIDDEN, "This account is switched off. Ask your administrator.")
        }
        Code::CsrfFailed => (
            StatusCode::FORBIDDEN,
            "The request did not prove that it comes from the application's own page.",
        ),
        Code::Forbidden => (StatusCode::FORBIDDEN, "You may not go there."),
        Code::ReauthenticationRequired => {
            (StatusCode::FORBIDDEN, "Sign in again first: your last login is too long ago for this.")
        }
        Code::IdentityConflict => (StatusCode::CONFLICT, "This identity belongs to another account."),
        Code::LastIdentity => (StatusCode::CONFLICT, "This is the last identity of the account."),
        Code::HandoffInvalid => (StatusCode::BAD_REQUEST, "The code is wrong, used or expired."),
        Code::ProviderUnknown => (StatusCode::NOT_FOUND, "There is no such login."),
        Code::NotFound => (StatusCode::NOT_FOUND, "There is nothing at this address."),
        Code::MethodNotAllowed => {
            (StatusCode::METHOD_NOT_ALLOWED, "This address does not answer this method.")
        }
        Code::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The request is too large."),
        Code::UnsupportedMediaType => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not of the kind that this address takes.")
        }
        Code::RateLimited => {
            (StatusCode::TOO_MANY_REQUESTS, "Too many requests from your address. Try again in a moment.")
        }
        Code::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side."),
        Code::IdpMetadataInvalid => {
            (StatusCode::BAD_GATEWAY, "The provider is not set up in a way that can be used.")
        }
        Code::IdpBadResponse => (StatusCode::BAD_GATEWAY, "The provider's answer could not be understood."),
        Code::IdpUnreachable => (StatusCode::BAD_GATEWAY, "The provider cannot be reached."),
        Code::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "The service is not available at the moment. Try again soon.")
        }
        Code::IdpTimeout => (StatusCode::GATEWAY_TIMEOUT, "The provider took too long to answer."),
    }
}

impl ApiError {
    /// Says which slot it is about.
    pub(crate) fn at(mut self, slot: SlotId) -> Self {
        self.slot = Some(slot);
        self
    }

    /// Says that the address is for programs only.
    pub(crate) fn for_a_program(mut self) -> Self {
        self.program = true;
        self
    }

    /// Gives the answer one more header. A value that no header can have is left out.
    pub(crate) fn with(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        self.headers.extend(value.try_into().ok().map(|value| (name, value)));
        self
    }

    /// The answer to an error of actix's own: only its status tells something.
    pub(crate) fn foreign(status: StatusCode) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Cause::TooLarge(Part::Body).into(),
            status if status.is_client_error() => Cause::BadRequest("the request could not be read").into(),
            _ => Cause::Internal("a handler failed").into(),
        }
    }

    /// Logs the refusal, once, and gives whoever asked the form that they can use.
    pub(crate) fn answer(&self, front: &Front, context: &RequestContext) -> HttpResponse {
        self.log();
        let mut answer = match &front.error_url {
            _ if !self.is_for_a_person(context) => self.document(context),
            Some(url) if self.is_of_a_login() => self.redirect(url, context),
            _ => self.page(front, context),
        };
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        for (name, value) in &self.headers {
            answer.headers_mut().append(name.clone(), value.clone());
        }
        answer
    }

    const fn is_of_a_login(&self) -> bool {
        matches!(*self.cause, Cause::Login(_))
    }

    /// A login's addresses are for navigations, whatever these say of themselves; all others are for programs, unless
    /// a browser asks for a page.
    fn is_for_a_person(&self, context: &RequestContext) -> bool {
        if self.program {
            return false;
        }
        if self.is_of_a_login() { context.navigates() } else { context.reads_pages() }
    }

    fn document(&self, context: &RequestContext) -> HttpResponse {
        let status = self.cause.status();
        let code = self.cause.code();
        let login_url = match &*self.cause {
            Cause::NotANavigation { login_url } | Cause::Unverified { login_url, .. } => {
                Some(login_url.as_str())
            }
            _ => None,
        };
        let problem = Problem {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            code: code.as_str(),
            detail: face(code).1,
            request_id: context.request_id(),
            login_url,
        };
        HttpResponse::build(status)
            .insert_header((header::CONTENT_TYPE, "application/problem+json"))
            .json(problem)
    }

    fn page(&self, front: &Front, context: &RequestContext) -> HttpResponse {
        let code = self.cause.code();
        let unverified = matches!(&*self.cause, Cause::Unverified { .. });
        let retry = (unverified || self.is_of_a_login()).then_some(&front.public_url);
        pages::refusal(self.cause.status(), (code.as_str(), face(code).1), context.request_id(), retry)
    }

    fn redirect(&self, error_url: &Url, context: &RequestContext) -> HttpResponse {
        let mut location = error_url.clone();
        location
            .query_pairs_mut()
            .append_pair("error", self.cause.code().as_str())
            .append_pair("request_id", context.request_id());
        HttpResponse::SeeOther().insert_header((header::LOCATION, location.as_str())).finish()
    }

    fn log(&self) {
        let (code, status) = (self.cause.code().as_str(), self.cause.status().as_u16());
        let slot = self.slot.map(tracing::field::display);
        let error = chain(&*self.cause);
        if matches!(self.cause.code(), Code::Internal | Code::Unavailable) {
            tracing::error!(slot, code, status, error, "a request failed");
        } else if self.is_of_a_login() {
            tracing::warn!(slot, code, status, error, "a login was refused");
        } else {
            tracing::info!(slot, code, status, error, "a request was refused");
        }
    }
}

impl<T: Into<Cause>> From<T> for ApiError {
    fn from(cause: T) -> Self {
        Self { cause: Box::new(cause.into()), slot: None, program: false, headers: Vec::new() }
    }
}

impl From<StoreError> for Cause {
    fn from(error: StoreError) -> Self {
        Self::Session(error.into())
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("cause", &self.cause)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

/// Tells actix the status and nothing else; [`ApiError::answer`] says the rest, knowing who asked.
impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.cause.status()
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.cause.status())
    }
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

#[cfg(test)]
pub(crate) fn code_of(error: &ApiError) -> &'static str {
    error.cause.code().as_str()
}

#[cfg(test)]
mod tests;
