//! The OAuth 2.0 client of a slot.
//!
//! [`OAuth2Client`] is a complete OAuth 2.0 login. Its parts (the authorization request and response, the
//! exchange of the code, userinfo) are public, because OpenID Connect extends them. This crate does not
//! depend on the database or on the HTTP server. No type of the crate `oauth2` leaves it.

mod authorize;
mod exchange;
#[cfg(test)]
mod fixtures;
pub mod lookups;
pub mod probe;
pub mod userinfo;

pub use authorize::{IssRule, authorization_request, further_parameters, take_code};
pub use exchange::{AuthMethod, CodeGrant, Granted};

use async_trait::async_trait;
use portico_core::claims::{Claims, Evidence};
use portico_core::clock::Timestamp;
use portico_core::error::UpstreamError;
use portico_core::provider::inspection::Finding;
use portico_core::provider::{
    AuthorizationParams, AuthorizationRedirect, CodeExchange, Health, Issuer, OAuth2Settings, ProtocolClient,
    ProviderFingerprint, ProviderKind, Slot,
};
use portico_outbound::reachability::{self, dns, tls};
use portico_outbound::{Endpoint, Outbound, ProviderRequest};
use secrecy::SecretString;
use url::Url;

use crate::userinfo::Userinfo;

/// The client of one OAuth 2.0 slot.
pub struct OAuth2Client {
    slot: Slot,
    settings: OAuth2Settings,
    http: Outbound,
}

impl OAuth2Client {
    /// Creates the client of an OAuth 2.0 slot. Sends no request.
    ///
    /// # Panics
    /// The slot is an OpenID Connect slot.
    pub fn new(slot: Slot, http: Outbound) -> Self {
        let settings = match &slot.kind {
            ProviderKind::OAuth2(settings) => settings.clone(),
            ProviderKind::Oidc(_) => unreachable!("{} is not an OAuth 2.0 slot", slot.id()),
        };
        Self { slot, settings, http }
    }

    fn current_fingerprint(&self) -> ProviderFingerprint {
        ProviderFingerprint::new(&[
            self.settings.issuer.as_ref().map_or("", Issuer::as_str),
            self.settings.authorization_url.as_str(),
            self.settings.token_url.as_str(),
            self.settings.userinfo_url.as_str(),
        ])
    }
}

#[async_trait]
impl ProtocolClient for OAuth2Client {
    async fn authorization_redirect(
        &self,
        params: AuthorizationParams<'_>,
    ) -> Result<AuthorizationRedirect, UpstreamError> {
        let location = authorization_request(&self.slot, &self.settings.authorization_url, &params);
        Ok(AuthorizationRedirect { location, fingerprint: self.current_fingerprint() })
    }

    async fn exchange_code(&self, exchange: CodeExchange) -> Result<Claims, UpstreamError> {
        if exchange.fingerprint != self.current_fingerprint() {
            return Err(UpstreamError::Changed);
        }
        let rule =
            IssRule { issuer: self.settings.issuer.as_ref(), aliases: &[], tenants: &[], promised: false };
        let code = take_code(exchange.response, rule)?;
        let grant = CodeGrant {
            slot: &self.slot,
            token_url: &self.settings.token_url,
            auto: AuthMethod::Basic,
            redirect_uri: &exchange.redirect_uri,
            login_secrets: &exchange.login_secrets,
            audience: self.settings.issuer.as_ref().map_or(self.settings.token_url.as_str(), Issuer::as_str),
            code: &code,
            now: exchange.now,
        };
        let granted = grant.redeem(&self.http).await?;
        let (url, method) = (&self.settings.userinfo_url, self.slot.userinfo_method);
        let userinfo = match userinfo::fetch(&self.http, url, method, &granted.access_token).await? {
            Userinfo::Plain(userinfo) => userinfo,
            // Without OpenID Connect there is no key set for the verification.
            Userinfo::UnverifiedJwt(_) => {
                return Err(Endpoint::Userinfo.bad_response("a signed answer, which needs an oidc slot"));
            }
        };
        let namespace = self.settings.identity_namespace.clone();
        let mut claims = self.slot.claims_from(&Evidence::OAuth2 { namespace, userinfo })?;
        if let Some(url) = &self.settings.emails_url {
            claims = lookups::with_email(claims, &self.slot, &self.http, url, &granted.access_token).await?;
        }
        lookups::with_groups(claims, &self.slot, &self.http, &granted.access_token).await
    }

    fn end_session(&self, _: Option<&Url>, _: Option<&SecretString>) -> Option<Url> {
        None
    }

    fn health(&self) -> Health {
        self.http.health()
    }

    fn fingerprint(&self) -> Option<ProviderFingerprint> {
        Some(self.current_fingerprint())
    }

    async fn inspect(&self, params: AuthorizationParams<'_>, now: Timestamp) -> Vec<Finding> {
        let OAuth2Settings { authorization_url, token_url, .. } = &self.settings;
        let request = ProviderRequest::get(token_url.clone());
        let reached = reachability::send(&self.http, Endpoint::Token, request).await;
        let authorization = authorization_request(&self.slot, authorization_url, &params);
        let code = probe::NO_CODE.into();
        let grant = CodeGrant {
            slot: &self.slot,
            token_url,
            auto: AuthMethod::Basic,
            redirect_uri: params.redirect_uri,
            login_secrets: params.login_secrets,
            audience: self.settings.issuer.as_ref().map_or(token_url.as_str(), Issuer::as_str),
            code: &code,
            now,
        };
        let (dns, redirect_uri, client_secret) = tokio::join!(
            dns(token_url),
            probe::redirect_uri(&self.http, &self.slot, &authorization, params.redirect_uri),
            probe::client_secret(&self.http, &grant),
        );
        vec![dns, tls(token_url, &reached), redirect_uri, client_secret]
    }
}

#[cfg(test)]
mod tests;
