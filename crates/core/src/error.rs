//! Why a login or a session is refused. Each error has a detailed text for the log and a stable code for
//! the client.

use crate::account::AccountId;
use crate::admission::NotAllowed;
use crate::claims::ClaimsError;
use crate::text::printable;

/// The public code of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each variant is the public code of the same name; see `as_str`")]
pub enum Code {
    BadRequest,
    LoginStateInvalid,
    LoginMixup,
    CodeRejected,
    IdpTokenMissing,
    IdpTokenInvalid,
    IdpClaimsIncomplete,
    SessionInvalid,
    IdpDenied,
    LoginNotAllowed,
    AccountDisabled,
    CsrfFailed,
    Forbidden,
    ReauthenticationRequired,
    IdentityConflict,
    LastIdentity,
    HandoffInvalid,
    ProviderUnknown,
    NotFound,
    MethodNotAllowed,
    TooLarge,
    UnsupportedMediaType,
    RateLimited,
    Internal,
    IdpMetadataInvalid,
    IdpBadResponse,
    IdpUnreachable,
    Unavailable,
    IdpTimeout,
}

impl Code {
    /// The code as it is written in responses and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::LoginStateInvalid => "login_state_invalid",
            Self::LoginMixup => "login_mixup",
            Self::CodeRejected => "code_rejected",
            Self::IdpTokenMissing => "idp_token_missing",
            Self::IdpTokenInvalid => "idp_token_invalid",
            Self::IdpClaimsIncomplete => "idp_claims_incomplete",
            Self::SessionInvalid => "session_invalid",
            Self::IdpDenied => "idp_denied",
            Self::LoginNotAllowed => "login_not_allowed",
            Self::AccountDisabled => "account_disabled",
            Self::CsrfFailed => "csrf_failed",
            Self::Forbidden => "forbidden",
            Self::ReauthenticationRequired => "reauthentication_required",
            Self::IdentityConflict => "identity_conflict",
            Self::LastIdentity => "last_identity",
            Self::HandoffInvalid => "handoff_invalid",
            Self::ProviderUnknown => "provider_unknown",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::RateLimited => "rate_limited",
            Self::Internal => "internal",
            Self::IdpMetadataInvalid => "idp_metadata_invalid",
            Self::IdpBadResponse => "idp_bad_response",
            Self::IdpUnreachable => "idp_unreachable",
            Self::Unavailable => "unavailable",
            Self::IdpTimeout => "idp_timeout",
        }
    }
}

/// A provider failed, or its response is not valid. Contains no token, code or secret.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The provider's issuer or endpoints are no longer those the login started with.
    #[error("the provider's issuer or endpoints changed since the login started")]
    Changed,
    /// `iss` is wrong, or missing although the metadata advertises it (RFC 9207 2.4).
    #[error("authorization response issuer: expected {expected:?}, received {received:?}")]
    Mixup {
        /// The slot's issuer.
        expected: String,
        /// The received value, shortened and without control characters.
        received: Option<String>,
    },
    /// The authorization response has an error (RFC 6749 4.1.2.1).
    #[error("the provider refused the authorization: {error:?}")]
    Denied {
        /// The provider's error code, shortened and without control characters.
        error: String,
    },
    /// The authorization response has an error of the provider itself: `server_error` or
    /// `temporarily_unavailable`.
    #[error("the provider reported {error:?} on the authorization request")]
    ProviderTrouble {
        /// The provider's error code.
        error: String,
    },
    /// The token endpoint refused the code (RFC 6749 5.2).
    #[error("token endpoint refused the code: {error:?}")]
    CodeRejected {
        /// The provider's error code, shortened and without control characters.
        error: String,
    },
    /// The token response of an OpenID Connect provider has no ID token.
    #[error("the token response has no id_token")]
    TokenMissing,
    /// The ID token or userinfo failed a check.
    #[error("{0}")]
    TokenInvalid(Check),
    /// The claims have no usable subject.
    #[error(transparent)]
    ClaimsIncomplete(#[from] ClaimsError),
    /// The discovery document or key set cannot be used.
    #[error("provider metadata: {0}")]
    Metadata(String),
    /// The response of an endpoint cannot be used.
    #[error("{endpoint}: {problem}")]
    BadResponse {
        /// The endpoint.
        endpoint: &'static str,
        /// What is wrong with it, without secrets and without parts of its body.
        problem: String,
    },
    /// An endpoint could not be reached.
    #[error("{endpoint} cannot be reached: {problem}")]
    Unreachable {
        /// The endpoint.
        endpoint: &'static str,
        /// The reason.
        problem: String,
        /// What is wrong with the server's certificate, if that is the reason.
        certificate: Option<CertificateFault>,
    },
    /// Too many calls to the provider are waiting.
    #[error("{endpoint}: too many calls wait already")]
    Overloaded {
        /// The endpoint.
        endpoint: &'static str,
    },
    /// An endpoint did not respond in time.
    #[error("{endpoint} took too long")]
    Timeout {
        /// The endpoint.
        endpoint: &'static str,
    },
}

/// Why a server certificate is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// Its issuer is not among the trusted roots.
    UnknownIssuer,
    /// It is a certificate authority's certificate.
    AuthorityAsServer,
    /// It is for another name.
    WrongName,
    /// Another fault of the certificate or of the TLS handshake.
    Other,
}

/// The check that an ID token or userinfo failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("check {name:?} failed: expected {expected}, received {received}")]
pub struct Check {
    /// The short name of the check, such as `iss` or `signature`.
    pub name: &'static str,
    /// The expected value.
    pub expected: String,
    /// The received value, shortened and without control characters. Never a token or a nonce.
    pub received: String,
}

impl Check {
    /// A failed check.
    pub fn failed(name: &'static str, expected: impl Into<String>, received: impl AsRef<str>) -> Self {
        Self { name, expected: expected.into(), received: printable(received.as_ref()) }
    }
}

impl UpstreamError {
    /// The public code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Changed => Code::LoginStateInvalid,
            Self::Mixup { .. } => Code::LoginMixup,
            Self::Denied { .. } => Code::IdpDenied,
            Self::CodeRejected { .. } => Code::CodeRejected,
            Self::TokenMissing => Code::IdpTokenMissing,
            Self::TokenInvalid(_) => Code::IdpTokenInvalid,
            Self::ClaimsIncomplete(_) => Code::IdpClaimsIncomplete,
            Self::Metadata(_) => Code::IdpMetadataInvalid,
            Self::ProviderTrouble { .. } | Self::BadResponse { .. } => Code::IdpBadResponse,
            Self::Unreachable { .. } => Code::IdpUnreachable,
            Self::Overloaded { .. } => Code::Unavailable,
            Self::Timeout { .. } => Code::IdpTimeout,
        }
    }
}

/// The store failed, or returned data that cannot be read. It never means "not found".
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is locked, is full or is overloaded.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row has a value that no version of Portico writes.
    #[error("the store holds a corrupt {row}: {problem}")]
    Corrupt {
        /// The kind of row.
        row: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// The errors that logins and sessions have in common.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The account is disabled or deleted.
    #[error("account {0} is disabled or deleted")]
    AccountDisabled(AccountId),
    /// The request needs a session that started with a provider's login in the last ten minutes.
    #[error("the session did not start with a provider's login in the last ten minutes")]
    ReauthenticationRequired,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An invariant of Portico does not hold.
    #[error("internal: {0}")]
    Internal(&'static str),
}

impl FlowError {
    /// The public code.
    pub const fn code(&self) -> Code {
        match self {
            Self::AccountDisabled(_) => Code::AccountDisabled,
            Self::ReauthenticationRequired => Code::ReauthenticationRequired,
            Self::Store(_) => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }
}

/// Why a login fails.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The request is malformed.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The slot is unknown or not enabled.
    #[error("no such slot is enabled")]
    ProviderUnknown,
    /// The callback or code belongs to no pending login of this browser.
    #[error("{0}")]
    StateInvalid(&'static str),
    /// The provider failed, or its response is not valid.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The slot's access rule does not admit the person. No account is written.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The identity to link belongs to another account. Nothing is written.
    #[error("the identity belongs to account {0} already")]
    IdentityConflict(AccountId),
    /// An error that logins and sessions have in common.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

impl LoginError {
    /// The public code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Flow(error) => error.code(),
            Self::BadRequest(_) => Code::BadRequest,
            Self::ProviderUnknown => Code::ProviderUnknown,
            Self::StateInvalid(_) => Code::LoginStateInvalid,
            Self::Upstream(upstream) => upstream.code(),
            Self::NotAllowed(_) => Code::LoginNotAllowed,
            Self::IdentityConflict(_) => Code::IdentityConflict,
        }
    }
}

/// Why a request of a session fails.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The session or its token is missing, malformed, expired, revoked, reused or unknown.
    #[error("{0}")]
    Invalid(&'static str),
    /// The hand-off code or its verifier is wrong, or the code was used or has expired.
    #[error("{0}")]
    HandoffInvalid(&'static str),
    /// The identity to remove is the last one of the account.
    #[error("it is the account's last identity")]
    LastIdentity,
    /// The account has no such identity or session.
    #[error("the person has no such {0}")]
    NotFound(&'static str),
    /// An error that logins and sessions have in common.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

impl SessionError {
    /// The public code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Flow(error) => error.code(),
            Self::Invalid(_) => Code::SessionInvalid,
            Self::HandoffInvalid(_) => Code::HandoffInvalid,
            Self::LastIdentity => Code::LastIdentity,
            Self::NotFound(_) => Code::NotFound,
        }
    }
}

/// Why an access token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.reason())]
pub enum TokenError {
    /// The token names a key that is not known. Another replica may have generated it.
    UnknownKey,
    /// A check failed; the text says which.
    Invalid(&'static str),
}

impl TokenError {
    /// The reason, for the log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::UnknownKey => "the token's key is unknown",
            Self::Invalid(why) => why,
        }
    }
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        FlowError::from(error).into()
    }
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        FlowError::from(error).into()
    }
}

impl From<TokenError> for SessionError {
    fn from(error: TokenError) -> Self {
        Self::Invalid(error.reason())
    }
}

/// An error followed by its causes, on one line. A cause whose text the line contains already is left out.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}
