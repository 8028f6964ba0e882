//! Why a request is refused: a stable code and a fixed sentence for the client, the cause for the log.
//!
//! No response repeats data of the request, of the provider or of a claim (threats 1). `render` makes the
//! response.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use portico_core::error::{Code, LoginError, SessionError, StoreError, error_chain};
use portico_core::slot::SlotId;
use url::Url;

/// A refused request.
pub(crate) struct ApiError {
    cause: Box<Cause>,
    slot: Option<SlotId>,
    api_only: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// A login failed.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// A session is missing, invalid or not sufficient.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A login was requested by a client that cannot follow a redirect to the provider.
    #[error("the request is not a navigation")]
    NotANavigation {
        /// Where to navigate instead.
        login_url: Url,
    },
    /// Forward authentication of a request without a valid session.
    #[error("{why}")]
    Unverified {
        /// Why the session is not valid.
        why: &'static str,
        /// Where to sign in.
        login_url: Url,
    },
    /// Forward authentication of a request whose account has none of the required roles or groups.
    #[error("the account has none of the required roles or groups")]
    Forbidden,
    /// A request by cookie without proof that a page of the application sent it.
    #[error("{0}")]
    Csrf(&'static str),
    /// The request is malformed.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The path does not exist.
    #[error("no such path")]
    NotFound,
    /// The path does not take this method.
    #[error("the path has no such method")]
    MethodNotAllowed,
    /// The path does not take a body of this media type.
    #[error("the path does not take a body of this media type")]
    UnsupportedMediaType,
    /// A part of the request exceeds its limit.
    #[error("the {0:?} of the request is too large")]
    TooLarge(Part),
    /// The client has exceeded its rate limit.
    #[error("too many requests for {what} from this address")]
    TooOften {
        /// What the limit counts.
        what: &'static str,
    },
    /// The handler exceeded its deadline.
    #[error("the request took too long")]
    Overdue,
    /// A defect of Portico.
    #[error("internal: {0}")]
    Internal(&'static str),
}

/// The parts of a request that have a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The body.
    Body,
    /// The URL.
    Url,
    /// All headers together.
    Headers,
}

impl Cause {
    pub(crate) fn code(&self) -> Code {
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

    pub(crate) fn status(&self) -> StatusCode {
        if let Self::TooLarge(part) = self { part.status() } else { status(self.code()) }
    }
    /// The sentence in the response.
    pub(crate) fn detail(&self) -> &'static str {
        detail(self.code())
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

/// The status of each code.
const fn status(code: Code) -> StatusCode {
    match code {
        Code::BadRequest | Code::LoginStateInvalid | Code::LoginMixup | Code::HandoffInvalid => {
            StatusCode::BAD_REQUEST
        }
        Code::CodeRejected
        | Code::IdpTokenMissing
        | Code::IdpTokenInvalid
        | Code::IdpClaimsIncomplete
        | Code::SessionInvalid => StatusCode::UNAUTHORIZED,
        Code::IdpDenied
        | Code::LoginNotAllowed
        | Code::AccountDisabled
        | Code::CsrfFailed
        | Code::Forbidden
        | Code::ReauthenticationRequired => StatusCode::FORBIDDEN,
        Code::ProviderUnknown | Code::NotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::IdentityConflict | Code::LastIdentity => StatusCode::CONFLICT,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::IdpMetadataInvalid | Code::IdpBadResponse | Code::IdpUnreachable => StatusCode::BAD_GATEWAY,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::IdpTimeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// The sentence of each code; `docs/errors.md` explains them.
const fn detail(code: Code) -> &'static str {
    match code {
        Code::BadRequest => "The request is malformed, or leads to an address that is not allowed.",
        Code::LoginStateInvalid => {
            "This login is not open in this browser: it took too long, was used already, or began elsewhere."
        }
        Code::LoginMixup => "The answer did not come from the provider that was asked.",
        Code::CodeRejected => "The provider did not confirm the login.",
        Code::IdpTokenMissing => "The provider did not say who signed in.",
        Code::IdpTokenInvalid => "What the provider said about the login did not pass the checks.",
        Code::IdpClaimsIncomplete => "The provider left out who signed in.",
        Code::SessionInvalid => "The session is missing, expired or revoked.",
        Code::IdpDenied => "The provider did not let you in, or you cancelled there.",
        Code::LoginNotAllowed => "You may not use this application.",
        Code::AccountDisabled => "This account is switched off. Ask your administrator.",
        Code::CsrfFailed => "The request did not prove that it comes from the application's own page.",
        Code::Forbidden => "You may not go there.",
        Code::ReauthenticationRequired => "Sign in again first: your last login is too long ago for this.",
        Code::IdentityConflict => "This identity belongs to another account.",
        Code::LastIdentity => "This is the last identity of the account.",
        Code::HandoffInvalid => "The code is wrong, used or expired.",
        Code::ProviderUnknown => "There is no such login.",
        Code::NotFound => "There is nothing at this address.",
        Code::MethodNotAllowed => "This address does not answer this method.",
        Code::TooLarge => "The request is too large.",
        Code::UnsupportedMediaType => "The body is not of the kind that this address takes.",
        Code::RateLimited => "Too many requests from your address. Try again in a moment.",
        Code::Internal => "Something went wrong on our side.",
        Code::IdpMetadataInvalid => "The provider is not set up in a way that can be used.",
        Code::IdpBadResponse => "The provider's answer could not be understood.",
        Code::IdpUnreachable => "The provider cannot be reached.",
        Code::Unavailable => "The service is not available at the moment. Try again soon.",
        Code::IdpTimeout => "The provider took too long to answer.",
    }
}

impl ApiError {
    /// Names the slot for the log.
    pub(crate) fn at(mut self, slot: SlotId) -> Self {
        self.slot = Some(slot);
        self
    }

    /// Marks the endpoint as one for API clients only, which never gets a page.
    pub(crate) fn api_only(mut self) -> Self {
        self.api_only = true;
        self
    }

    /// Adds a header to the response. A value that is invalid in a header is omitted.
    pub(crate) fn with(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        self.headers.extend(value.try_into().ok().map(|value| (name, value)));
        self
    }

    /// Refuses a method with 405; `allowed` are the methods that the path takes (RFC 9110 10.2.1).
    pub(crate) fn method_not_allowed(allowed: &str) -> Self {
        Self::from(Cause::MethodNotAllowed).with(header::ALLOW, allowed)
    }

    /// Translates an error of actix-web, of which only the status is used.
    pub(crate) fn from_actix(status: StatusCode) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Cause::TooLarge(Part::Body).into(),
            status if status.is_client_error() => Cause::BadRequest("the request could not be read").into(),
            _ => Cause::Internal("a handler failed").into(),
        }
    }

    /// Why the request is refused.
    pub(crate) fn cause(&self) -> &Cause {
        &self.cause
    }

    /// The headers that the response gets besides its own.
    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// Whether the endpoint is for API clients only.
    pub(crate) const fn is_api_only(&self) -> bool {
        self.api_only
    }

    /// Whether a login failed.
    pub(crate) const fn is_of_a_login(&self) -> bool {
        matches!(*self.cause, Cause::Login(_))
    }

    /// Logs the refusal.
    pub(crate) fn log(&self) {
        let (code, status) = (self.cause.code().as_str(), self.cause.status().as_u16());
        let slot = self.slot.map(tracing::field::display);
        let error = error_chain(&*self.cause);
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
        Self { cause: Box::new(cause.into()), slot: None, api_only: false, headers: Vec::new() }
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

/// Tells actix-web the status only; `guard` replaces the response by one that fits the client.
impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.cause.status()
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.cause.status())
    }
}

#[cfg(test)]
pub(crate) fn code_of(error: &ApiError) -> &'static str {
    error.cause.code().as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statuses_of_the_login_are_those_of_the_contract() {
        for (code, expected) in [
            (Code::LoginMixup, 400),
            (Code::IdpTokenMissing, 401),
            (Code::IdpTokenInvalid, 401),
            (Code::IdpClaimsIncomplete, 401),
            (Code::LoginNotAllowed, 403),
            (Code::AccountDisabled, 403),
            (Code::IdpMetadataInvalid, 502),
            (Code::IdpBadResponse, 502),
            (Code::IdpUnreachable, 502),
            (Code::IdpTimeout, 504),
        ] {
            assert_eq!(status(code).as_u16(), expected, "{code:?}");
        }
    }

    #[test]
    fn causes_are_told_once_each() {
        let store = LoginError::from(StoreError::Unavailable("the disk is gone".into()));
        assert_eq!(error_chain(&Cause::from(store)), "the store is unavailable: the disk is gone");
    }

    #[test]
    fn foreign_errors_keep_their_kind_only() {
        for (status, code) in [
            (413, "too_large"),
            (400, "bad_request"),
            (408, "bad_request"),
            (500, "internal"),
            (502, "internal"),
        ] {
            let error = ApiError::from_actix(StatusCode::from_u16(status).unwrap());
            assert_eq!(code_of(&error), code, "{status}");
        }
    }
}
