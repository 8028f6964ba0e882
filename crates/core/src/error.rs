//! Why a request is refused: closed causes for the log, one stable code for the stranger.

use crate::account::AccountId;
use crate::admission::NotAllowed;
use crate::claims::ClaimsError;
use crate::text::printable;

/// The stable, public name of a refusal.
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
    /// The code as it stands in answers and logs.
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

/// What a provider did wrong, or what was wrong about its answer. Holds no token, code or secret.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The provider's issuer or endpoints are no longer those the login started with.
    #[error("the provider's issuer or endpoints changed since the login started")]
    Changed,
    /// RFC 9207: `iss` is wrong, or missing although discovery advertises it.
    #[error("authorization response issuer: expected {expected:?}, received {received:?}")]
    Mixup {
        /// The slot's issuer.
        expected: String,
        /// What came, shortened and without control characters.
        received: Option<String>,
    },
    /// The provider's authorization endpoint answered with an error.
    #[error("the provider refused the authorization: {error:?}")]
    Denied {
        /// The provider's error code, shortened and without control characters.
        error: String,
    },
    /// The authorization endpoint reported trouble of its own (`server_error`, `temporarily_unavailable`).
    #[error("the provider reported {error:?} on the authorization request")]
    ProviderTrouble {
        /// The provider's error code.
        error: String,
    },
    /// The token endpoint refused the code.
    #[error("token endpoint refused the code: {error:?}")]
    CodeRejected {
        /// The provider's error code, shortened and without control characters.
        error: String,
    },
    /// An OIDC provider answered without an ID token.
    #[error("the token response has no id_token")]
    TokenMissing,
    /// The ID token or userinfo failed a check.
    #[error("{0}")]
    TokenInvalid(Check),
    /// There is no usable subject.
    #[error(transparent)]
    ClaimsIncomplete(#[from] ClaimsError),
    /// The discovery document or key set cannot be used.
    #[error("provider metadata: {0}")]
    Metadata(String),
    /// An endpoint answered something that is not an answer.
    #[error("{endpoint}: {problem}")]
    BadResponse {
        /// Which endpoint.
        endpoint: &'static str,
        /// What was wrong with it; nothing secret, nothing of its body.
        problem: String,
    },
    /// An endpoint could not be reached.
    #[error("{endpoint} cannot be reached: {problem}")]
    Unreachable {
        /// Which endpoint.
        endpoint: &'static str,
        /// Why not.
        problem: String,
        /// What is wrong with the server's certificate, if that is why.
        certificate: Option<CertificateFault>,
    },
    /// Too many calls to the provider wait already.
    #[error("{endpoint}: too many calls wait already")]
    Overloaded {
        /// Which endpoint.
        endpoint: &'static str,
    },
    /// An endpoint took too long.
    #[error("{endpoint} took too long")]
    Timeout {
        /// Which endpoint.
        endpoint: &'static str,
    },
}

/// Why the certificate of a server is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// Its issuer is not among the trusted roots.
    UnknownIssuer,
    /// It is the certificate of an authority.
    AuthorityAsServer,
    /// It is for another name.
    WrongName,
    /// Another fault of it, or of the agreement on TLS.
    Other,
}

/// The check that an ID token or userinfo failed: which one, what was expected and what came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("check {name:?} failed: expected {expected}, received {received}")]
pub struct Check {
    /// The short name of the check, such as `iss` or `signature`.
    pub name: &'static str,
    /// What would have passed.
    pub expected: String,
    /// What came, shortened and without control characters; never a token or a nonce.
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

/// The store did not answer, or returned data that cannot be read. It never means "not found".
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is locked, is full or is overloaded.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row holds a value that no version of Portico writes.
    #[error("the store holds a corrupt {row}: {problem}")]
    Corrupt {
        /// The kind of row.
        row: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// Why a login or a session fails, as far as the reasons are the same.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The account is disabled or deleted.
    #[error("account {0} is disabled or deleted")]
    AccountDisabled(AccountId),
    /// The person's login is too old for the request, or the session started without a provider's login.
    #[error("the session did not start with a provider's login in the last ten minutes")]
    ReauthenticationRequired,
    /// The store failed; nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A broken invariant of Portico.
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

/// Why a login did not come about.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The request is malformed.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The slot is unknown or not enabled.
    #[error("no such slot is enabled")]
    ProviderUnknown,
    /// The callback belongs to no login of this browser that is still open.
    #[error("{0}")]
    StateInvalid(&'static str),
    /// The provider, or its answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The slot's access rule does not let the person in; nothing was written.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The identity to link belongs to another account; nothing moved.
    #[error("the identity belongs to account {0} already")]
    IdentityConflict(AccountId),
    /// A reason that logins and sessions share.
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

/// Why a session is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Missing, malformed, expired, revoked, reused or foreign.
    #[error("{0}")]
    Invalid(&'static str),
    /// The hand-off code or its verifier is wrong, used or expired.
    #[error("{0}")]
    HandoffInvalid(&'static str),
    /// It is the account's last identity.
    #[error("it is the account's last identity")]
    LastIdentity,
    /// The person has no such identity or session.
    #[error("the person has no such {0}")]
    NotFound(&'static str),
    /// A reason that logins and sessions share.
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
pub enum TokenError {
    /// The key that the token names is not known here. Another replica may have generated it.
    #[error("the token's key is not ours")]
    UnknownKey,
    /// A check failed; the text says which.
    #[error("{0}")]
    Invalid(&'static str),
}

impl TokenError {
    /// The reason, for the log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::UnknownKey => "the token's key is not ours",
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
