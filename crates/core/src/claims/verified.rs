//! The claims of a person, built from verified documents only.

use secrecy::SecretString;

use super::documents::{Documents, Evidence, are_usable};
use super::identity::{ClaimedName, ClaimsError, Email, IdentityKey, SessionClaims};
use super::mapping::{ClaimMap, ClaimPath, is_address};
use crate::slot::SlotId;

/// What a provider says about a person. Built from [`Evidence`] only, so that no unverified document gets in.
#[derive(Debug, Clone)]
pub struct Claims {
    slot: SlotId,
    client_id: String,
    identity: IdentityKey,
    name: Option<ClaimedName>,
    preferred_username: Option<String>,
    email: Option<Email>,
    session: SessionClaims,
    groups_unknown: bool,
    id_token: Option<SecretString>,
}

/// The slot that the documents belong to, and the meaning of their claims.
#[derive(Debug, Clone, Copy)]
pub struct ClaimSource<'a> {
    /// The slot of the login.
    pub slot: SlotId,
    /// Portico's client identifier at the provider (RFC 6749 2.2).
    pub client_id: &'a str,
    /// The slot's claim mapping.
    pub map: &'a ClaimMap,
}

impl Claims {
    /// Reads verified documents by a slot's claim mapping.
    ///
    /// # Errors
    /// [`ClaimsError`] if there is no usable subject.
    pub fn from_evidence(source: &ClaimSource<'_>, evidence: &Evidence) -> Result<Self, ClaimsError> {
        let documents = Documents::new(evidence);
        let ClaimSource { slot, client_id, map } = *source;
        let namespace = match evidence {
            Evidence::Oidc { issuer, .. } => issuer.as_str(),
            Evidence::OAuth2 { namespace, .. } => namespace,
        };
        let issuer = map.namespace(namespace);
        let subject = documents.subject(&map.subject)?;
        let email = documents.email(map);
        Ok(Self {
            slot,
            client_id: client_id.to_owned(),
            name: documents.name(map),
            preferred_username: documents.text(&ClaimPath::Name("preferred_username".to_owned())),
            session: documents.session_claims(map, &subject, email.as_ref()),
            identity: IdentityKey { protocol: slot.protocol, issuer, subject },
            email,
            groups_unknown: false,
            id_token: None,
        })
    }

    /// Replaces the e-mail by one that the provider returned separately as primary and verified. An
    /// address that is not usable changes nothing.
    #[must_use]
    pub fn with_email(mut self, address: String) -> Self {
        if is_address(&address) {
            self.session.email = Some(address.clone());
            self.session.email_verified = true;
            self.email = Some(Email { address, verified: Some(true) });
        }
        self
    }

    /// Replaces the groups by those of a separate lookup. `None` means that the lookup failed: the
    /// groups are unknown.
    #[must_use]
    pub fn with_groups(mut self, groups: Option<Vec<String>>) -> Self {
        self.session.groups = groups.filter(|groups| are_usable(groups));
        self.groups_unknown = self.session.groups.is_none();
        self
    }

    /// Adds the raw ID token, which the provider accepts as a hint at logout (OIDC RP-Initiated Logout
    /// 1.0, 2).
    #[must_use]
    pub fn with_id_token(self, id_token: SecretString) -> Self {
        Self { id_token: Some(id_token), ..self }
    }

    /// The raw ID token, if it was added.
    pub fn id_token(&self) -> Option<&SecretString> {
        self.id_token.as_ref()
    }

    /// The slot of the login.
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// Portico's client identifier at this login. It is stored with the identity but is not part of its key.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The key of the identity.
    pub fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// The name, if the provider sent one.
    pub fn name(&self) -> Option<&ClaimedName> {
        self.name.as_ref()
    }

    /// `preferred_username` (OIDC Core 5.1), for display only.
    pub fn preferred_username(&self) -> Option<&str> {
        self.preferred_username.as_deref()
    }

    /// The e-mail, if the provider sent a usable one.
    pub fn email(&self) -> Option<&Email> {
        self.email.as_ref()
    }

    /// Whether the person may have groups that are not known, because a lookup failed or the provider
    /// omitted them. `false` if the provider sent no groups claim.
    pub fn groups_unknown(&self) -> bool {
        self.groups_unknown || self.session.groups_overage
    }

    /// The claims that belong to the session.
    pub fn session_claims(&self) -> &SessionClaims {
        &self.session
    }
}
