//! A person's claims, read from checked documents only.

use secrecy::SecretString;

use super::documents::{Documents, Evidence, is_fit};
use super::identity::{ClaimedName, ClaimsError, Email, IdentityKey, SessionClaims};
use super::mapping::{ClaimMap, ClaimPath, is_address};
use crate::slot::SlotId;

/// A person as a provider vouches for them. Made only from [`Evidence`].
#[derive(Debug, Clone)]
pub struct Claims {
    slot: SlotId,
    client_id: String,
    identity: IdentityKey,
    name: Option<ClaimedName>,
    preferred_username: Option<String>,
    email: Option<Email>,
    session_claims: SessionClaims,
    groups_unknown: bool,
    id_token: Option<SecretString>,
}

/// Whose documents are read, and which claims of them mean what.
#[derive(Debug, Clone, Copy)]
pub struct ClaimSource<'a> {
    /// The slot of the login.
    pub slot: SlotId,
    /// Our client identifier at the provider.
    pub client_id: &'a str,
    /// The slot's claim mapping.
    pub map: &'a ClaimMap,
}

impl Claims {
    /// Reads checked documents by a slot's claim mapping.
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
            session_claims: documents.session_claims(map, &subject, email.as_ref()),
            identity: IdentityKey { protocol: slot.protocol, issuer, subject },
            email,
            groups_unknown: false,
            id_token: None,
        })
    }

    /// With the address that the provider, asked for it, called the person's primary and verified one.
    #[must_use]
    pub fn with_email(mut self, address: String) -> Self {
        if is_address(&address) {
            self.session_claims.email = Some(address.clone());
            self.session_claims.email_verified = true;
            self.email = Some(Email { address, verified: Some(true) });
        }
        self
    }

    /// With the groups that were looked up, in place of whatever the documents say; `None` when nobody could tell.
    #[must_use]
    pub fn with_groups(mut self, groups: Option<Vec<String>>) -> Self {
        self.session_claims.groups = groups.filter(|groups| is_fit(groups));
        self.groups_unknown = self.session_claims.groups.is_none();
        self
    }

    /// With the ID token itself, where the provider has a use for it at logout.
    #[must_use]
    pub fn with_id_token(self, id_token: SecretString) -> Self {
        Self { id_token: Some(id_token), ..self }
    }

    /// The ID token, where it is kept.
    pub fn id_token(&self) -> Option<&SecretString> {
        self.id_token.as_ref()
    }

    /// The slot the person came through.
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// Our client identifier at the provider at this login; recorded, not part of the key.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The identity.
    pub fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// The name, if the provider gave one.
    pub fn name(&self) -> Option<&ClaimedName> {
        self.name.as_ref()
    }

    /// `preferred_username` (OIDC Core 5.1), for display only.
    pub fn preferred_username(&self) -> Option<&str> {
        self.preferred_username.as_deref()
    }

    /// The e-mail, if the provider gave one.
    pub fn email(&self) -> Option<&Email> {
        self.email.as_ref()
    }

    /// Whether the person may have groups that nobody could tell: not the same as having been sent none.
    pub fn groups_unknown(&self) -> bool {
        self.groups_unknown || self.session_claims.groups_overage
    }

    /// What belongs to the session.
    pub fn session_claims(&self) -> &SessionClaims {
        &self.session_claims
    }
}
