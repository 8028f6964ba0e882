//! The OpenID Connect client of a slot: discovery, keys, ID tokens.
//!
//! [`OidcClient`] extends OAuth 2.0 (`portico-oauth2`): the discovery document names the endpoints, and a
//! verified ID token names the user. This crate does not depend on the database or on the HTTP server.

mod authorize;
mod discovery;
mod document_cache;
#[cfg(test)]
mod fixtures;
mod inspect;
mod keys;
mod logout;
mod metadata;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portico_core::claims::{Claims, ClaimsError, Evidence, Subject};
use portico_core::clock::Timestamp;
use portico_core::error::{Check, UpstreamError};
use portico_core::provider::inspection::Finding;
use portico_core::provider::logout::LogoutToken;
use portico_core::provider::{
    AuthorizationParams, AuthorizationRedirect, CodeExchange, Health, Issuer, NonceMode, OidcSettings,
    ProtocolClient, ProviderFingerprint, ProviderKind, SignatureCheck, Slot, UserinfoUse,
};
use portico_oauth2::lookups;
use portico_oauth2::userinfo::{self, Userinfo};
use portico_oauth2::{CodeGrant, Granted, IssRule, take_code};
use portico_outbound::Outbound;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::Url;

use crate::authorize::authentication_request;
use crate::discovery::Provider;
use crate::document_cache::Freshness;
use crate::metadata::Metadata;
use crate::verify::{Parties, UnverifiedToken};

/// The client of one OpenID Connect slot.
pub struct OidcClient {
    slot: Slot,
    settings: OidcSettings,
    http: Outbound,
    provider: Provider,
}

/// The longest ID token that is stored as a hint, in bytes.
const MAX_HINT: usize = 4 << 10;

/// Time limit for loading the metadata of other slots during a login.
const LOAD_TIMEOUT: Duration = Duration::from_secs(2);

/// An ID token that passed its checks.
struct IdToken {
    /// The issuer of the stored identity.
    issuer: Issuer,
    claims: Map<String, Value>,
}

impl OidcClient {
    /// Creates the client of an OpenID Connect slot. The first login sends the first request.
    ///
    /// # Panics
    /// The slot is an OAuth 2.0 slot.
    pub fn new(slot: Slot, http: Outbound) -> Self {
        let settings = match &slot.kind {
            ProviderKind::Oidc(settings) => settings.clone(),
            ProviderKind::OAuth2(_) => unreachable!("{} is not an OpenID Connect slot", slot.id()),
        };
        let provider = Provider::new(&slot, settings.clone(), http.clone());
        Self { slot, settings, http, provider }
    }

    /// The accepted issuers and the client of a token.
    fn parties<'a>(&'a self, issuer: &'a Issuer) -> Parties<'a> {
        Parties { client_id: &self.slot.client_id, issuer, aliases: &self.settings.issuer_aliases }
    }

    /// Whether signatures are verified, which the settings can switch off.
    fn verifies(&self) -> bool {
        self.settings.signature == SignatureCheck::Verify
    }

    /// The ID token of this login after all checks (OIDC Core 3.1.3.7).
    ///
    /// # Errors
    /// The token is missing or fails a check, or the keys cannot be fetched.
    async fn id_token(
        &self,
        metadata: &Metadata,
        granted: &Granted,
        exchange: (&str, Timestamp),
    ) -> Result<IdToken, UpstreamError> {
        let invalid = UpstreamError::TokenInvalid;
        let (nonce, now) = exchange;
        let unverified = granted.unverified_id_token.as_ref().ok_or(UpstreamError::TokenMissing)?;
        let token = UnverifiedToken::parse(unverified.expose_secret()).map_err(invalid)?;
        token.check_kind().map_err(invalid)?;
        let issuer = if self.verifies() {
            let issuer = token.check_parties(&self.parties(&metadata.issuer)).map_err(invalid)?;
            self.check_signature(&token, metadata, now).await?;
            issuer
        } else {
            tracing::warn!(slot = %self.slot.id(), "signature of an ID token not checked");
            metadata.issuer.clone()
        };
        self.note_clock(&token, now);
        token.check_times(now, self.slot.clock_skew).map_err(invalid)?;
        token.check_nonce(self.settings.nonce, nonce).map_err(invalid)?;
        token.check_access_token(granted.access_token.expose_secret()).map_err(invalid)?;
        Ok(IdToken { issuer, claims: token.into_claims() })
    }

    /// Records the difference between the provider's clock and ours, in seconds, from a signed ID token.
    fn note_clock(&self, token: &UnverifiedToken<'_>, now: Timestamp) {
        if let Some(issued) = token.issued_at().filter(|_| self.verifies()) {
            let ahead = i32::try_from(issued.saturating_sub(now.unix())).unwrap_or(i32::MAX);
            metrics::gauge!("portico_clock_skew_seconds", "slot" => self.slot.id().to_string()).set(ahead);
        }
    }

    /// The ID token as hint for the provider's logout. `None` if the provider has no end-session endpoint,
    /// the signature is not verified, or the token is too long for a URL.
    fn hint(&self, metadata: &Metadata, granted: &Granted) -> Option<SecretString> {
        let token = granted.unverified_id_token.as_ref()?;
        let useful = metadata.end_session().is_some() && self.verifies();
        (useful && token.expose_secret().len() <= MAX_HINT).then(|| token.clone())
    }

    /// Verifies the signature with the cached keys, and then with newly fetched keys. Providers rotate keys,
    /// and some reuse a `kid`.
    ///
    /// # Errors
    /// No key verifies the signature, or the keys cannot be fetched.
    async fn check_signature(
        &self,
        token: &UnverifiedToken<'_>,
        metadata: &Metadata,
        now: Timestamp,
    ) -> Result<(), UpstreamError> {
        let alg = token.algorithm(&metadata.algs).map_err(UpstreamError::TokenInvalid)?;
        let keys = self.provider.keys(metadata, now, Freshness::Any).await?;
        let Err(failed) = token.check_signature(&keys, alg) else { return Ok(()) };
        let newer = self.provider.keys(metadata, now, Freshness::Newer).await?;
        if Arc::ptr_eq(&keys, &newer) {
            return Err(UpstreamError::TokenInvalid(failed));
        }
        token.check_signature(&newer, alg).map_err(UpstreamError::TokenInvalid)
    }

    /// Userinfo of the ID token's subject, if the settings and the ID token require it.
    ///
    /// # Errors The `sub` of the ID token is unusable, userinfo has another `sub`, or required userinfo
    /// cannot be read.
    async fn userinfo(
        &self,
        metadata: &Metadata,
        id_token: &IdToken,
        access_token: &SecretString,
        now: Timestamp,
    ) -> Result<Option<Map<String, Value>>, UpstreamError> {
        let IdToken { issuer, claims: id_token } = id_token;
        if !self.needs_userinfo(metadata, id_token) {
            return Ok(None);
        }
        let sub = usable_sub(id_token)?;
        // An access rule is only checked with all its claims.
        let optional = self.settings.userinfo == UserinfoUse::IfNeeded
            && !self.slot.access_rule_needs_userinfo(id_token);
        let userinfo = match self.read_userinfo(metadata, issuer, access_token, now).await {
            Err(error) if optional => {
                let slot = self.slot.id();
                tracing::warn!(%slot, %error, "userinfo could not be read; its claims are absent");
                return Ok(None);
            }
            userinfo => userinfo?,
        };
        // OIDC Core 5.3.2: userinfo with another `sub` must not be used.
        if userinfo.get("sub").and_then(Value::as_str) != Some(sub) {
            let check = Check::failed("userinfo sub", "the ID token's", "another one");
            return Err(UpstreamError::TokenInvalid(check));
        }
        Ok(Some(userinfo))
    }

    fn needs_userinfo(&self, metadata: &Metadata, id_token: &Map<String, Value>) -> bool {
        match self.settings.userinfo {
            UserinfoUse::Never => false,
            UserinfoUse::IfNeeded => metadata.userinfo().is_some() && self.slot.needs_userinfo(id_token),
            UserinfoUse::Always => true,
        }
    }

    /// Fetches userinfo, and verifies it if it is a JWT (OIDC Core 5.3.2).
    async fn read_userinfo(
        &self,
        metadata: &Metadata,
        issuer: &Issuer,
        access_token: &SecretString,
        now: Timestamp,
    ) -> Result<Map<String, Value>, UpstreamError> {
        let missing = || UpstreamError::Metadata("userinfo_endpoint is missing".to_owned());
        let url = metadata.userinfo().ok_or_else(missing)?;
        let jwt = match userinfo::fetch(&self.http, url, self.slot.userinfo_method, access_token).await? {
            Userinfo::Plain(userinfo) => return Ok(userinfo),
            Userinfo::UnverifiedJwt(jwt) => jwt,
        };
        let token = UnverifiedToken::parse(&jwt).map_err(UpstreamError::TokenInvalid)?;
        if self.verifies() {
            token.check_named_parties(&self.parties(issuer)).map_err(UpstreamError::TokenInvalid)?;
            self.check_signature(&token, metadata, now).await?;
        }
        Ok(token.into_claims())
    }
}

/// The `sub` of an ID token (OIDC Core 2), which userinfo must repeat.
fn usable_sub(id_token: &Map<String, Value>) -> Result<&str, UpstreamError> {
    let incomplete = |why| UpstreamError::from(ClaimsError(why));
    let sub = id_token.get("sub").and_then(Value::as_str);
    let sub = sub.ok_or_else(|| incomplete("it is missing or no text"))?;
    Subject::parse(sub).map_err(incomplete)?;
    Ok(sub)
}

#[async_trait]
impl ProtocolClient for OidcClient {
    async fn authorization_redirect(
        &self,
        params: AuthorizationParams<'_>,
    ) -> Result<AuthorizationRedirect, UpstreamError> {
        let metadata = self.provider.metadata().await?;
        let nonce = (self.settings.nonce != NonceMode::Never).then(|| params.login_secrets.nonce());
        let location = authentication_request(&self.slot, &metadata, &params, nonce);
        Ok(AuthorizationRedirect { location, fingerprint: metadata.fingerprint() })
    }

    async fn exchange_code(&self, exchange: CodeExchange) -> Result<Claims, UpstreamError> {
        let metadata = self.provider.metadata().await?;
        if exchange.fingerprint != metadata.fingerprint() {
            return Err(UpstreamError::Changed);
        }
        let rule = IssRule {
            issuer: Some(&metadata.issuer),
            aliases: &self.settings.issuer_aliases,
            tenants: &self.slot.access.tenants,
            promised: metadata.promises_iss(),
        };
        let code = take_code(exchange.response, rule)?;
        let grant = CodeGrant {
            slot: &self.slot,
            token_url: &metadata.token,
            auto: metadata.auth(),
            redirect_uri: &exchange.redirect_uri,
            login_secrets: &exchange.login_secrets,
            // An issuer template cannot be the audience of a client assertion.
            audience: if metadata.issuer.is_template() {
                metadata.token.as_str()
            } else {
                metadata.issuer.as_str()
            },
            code: &code,
            now: exchange.now,
        };
        let granted = grant.redeem(&self.http).await?;
        let nonce = exchange.login_secrets.nonce().expose_secret();
        let id_token = self.id_token(&metadata, &granted, (nonce, exchange.now)).await?;
        let userinfo = self.userinfo(&metadata, &id_token, &granted.access_token, exchange.now).await?;
        let IdToken { issuer, claims: id_token } = id_token;
        let evidence = Evidence::Oidc { issuer, id_token, signed: self.verifies(), userinfo };
        let mut claims = self.slot.claims_from(&evidence)?;
        if let Some(token) = self.hint(&metadata, &granted) {
            claims = claims.with_id_token(token);
        }
        lookups::with_groups(claims, &self.slot, &self.http, &granted.access_token).await
    }

    fn end_session(&self, post_logout_redirect: Option<&Url>, hint: Option<&SecretString>) -> Option<Url> {
        let metadata = self.provider.known()?;
        let endpoint = metadata.end_session()?;
        Some(logout::end_session(endpoint, &self.slot.client_id, post_logout_redirect, hint))
    }

    async fn verify_logout_token(
        &self,
        token: &SecretString,
        now: Timestamp,
    ) -> Result<Option<LogoutToken>, UpstreamError> {
        if !self.verifies() {
            return Ok(None);
        }
        let invalid = UpstreamError::TokenInvalid;
        let metadata = self.provider.metadata().await?;
        let token = UnverifiedToken::parse(token.expose_secret()).map_err(invalid)?;
        token.check_logout_kind().map_err(invalid)?;
        let issuer = token.check_parties(&self.parties(&metadata.issuer)).map_err(invalid)?;
        self.check_signature(&token, &metadata, now).await?;
        token.check_times(now, self.slot.clock_skew).map_err(invalid)?;
        let logout_token = token.into_logout_token(&issuer, &self.slot, now).map_err(invalid)?;
        Ok(Some(logout_token))
    }

    fn health(&self) -> Health {
        self.provider.health()
    }

    fn fingerprint(&self) -> Option<ProviderFingerprint> {
        self.provider.known().map(|metadata| metadata.fingerprint())
    }

    async fn inspect(&self, params: AuthorizationParams<'_>, now: Timestamp) -> Vec<Finding> {
        self.run_checks(&params, now).await
    }

    async fn load_metadata(&self) {
        // The provider logs a failed fetch. The login that waits here belongs to another slot and continues.
        let _ = tokio::time::timeout(LOAD_TIMEOUT, self.provider.metadata()).await;
    }

    fn issuer(&self) -> Option<Issuer> {
        let known = || self.provider.known().map(|metadata| metadata.issuer.clone());
        self.settings.issuer.clone().or_else(known)
    }
}

#[cfg(test)]
mod tests;
