//! Users with the claims that a provider sends, and their logins.

use std::collections::BTreeMap;
use std::time::Duration;

use portico_core::account::{AccountId, Decision, NamePolicy, NameSuffix, decide};
use portico_core::admission::AccessRule;
use portico_core::claims::{ClaimMap, ClaimPath, Claims, Evidence, GroupsSeparator};
use portico_core::clock::{Entropy, Timestamp};
use portico_core::provider::{
    Button, ClientAuth, Issuer, NonceMode, OidcSettings, Pkce, ProviderKind, SignatureCheck, Slot, Transport,
    UserinfoMethod, UserinfoUse,
};
use portico_core::session::{Caller, NewHandOff, NewSession, RefreshToken, SessionId};
use portico_core::slot::SlotName;
use portico_core::store::{Committed, CommittedLogin, LoginCommit, SessionKind, SessionWithAccount, Store};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bench::NOON;

/// A user, as the claims of an ID token.
#[derive(Debug, Clone)]
pub struct Person(Value);

impl Person {
    pub fn new(sub: &str) -> Self {
        Self(json!({ "sub": sub }))
    }

    #[must_use]
    pub fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.0[claim] = value.into();
        self
    }

    pub fn claims(&self) -> Claims {
        let id_token = self.0.as_object().unwrap().clone();
        let issuer = Issuer::new("https://idp.example.com");
        slot().claims_from(&Evidence::Oidc { issuer, id_token, signed: true, userinfo: None }).unwrap()
    }
}

pub fn ada() -> Person {
    Person::new("ada-1").with("name", "Ada").with("email", "ada@example.com").with("email_verified", true)
}

fn slot() -> Slot {
    let name = |text: &str| ClaimPath::Name(text.to_owned());
    Slot {
        name: SlotName::Provider1,
        button: Button { label: "Sign in".to_owned(), icon: "mdi:account-key".to_owned() },
        client_id: "client".to_owned(),
        auth: ClientAuth::Public,
        pkce: Pkce::S256,
        scopes: vec!["openid".to_owned()],
        audience: None,
        extra_params: BTreeMap::new(),
        claims: ClaimMap {
            subject: name("sub"),
            name: vec![name("name")],
            email: vec![name("email")],
            email_verified: name("email_verified"),
            groups: name("groups"),
            groups_separator: GroupsSeparator::None,
            groups_wanted: true,
        },
        response_mode: portico_core::provider::ResponseMode::Query,
        userinfo_method: UserinfoMethod::Get,
        groups_url: None,
        clock_skew: Duration::from_mins(1),
        transport: Transport::default(),
        name_fallback: true,
        access: AccessRule::default(),
        kind: ProviderKind::Oidc(OidcSettings {
            discovery_url: "https://idp.example.com/.well-known/openid-configuration".parse().unwrap(),
            issuer: None,
            issuer_aliases: Vec::new(),
            signature: SignatureCheck::Verify,
            allowed_algs: None,
            nonce: NonceMode::Required,
            userinfo: UserinfoUse::IfNeeded,
            userinfo_url: None,
        }),
    }
}

/// A login to be written, with new identifiers.
#[derive(Debug, Clone)]
pub struct Visit {
    pub decision: Decision,
    pub new_account: AccountId,
    pub new_identity: Uuid,
    pub claims: Claims,
    pub label: Option<String>,
    pub session: NewSession,
    pub token: RefreshToken,
    pub browser: Option<SessionId>,
    pub handoff: Option<NewHandOff>,
    pub default_group: Option<&'static str>,
    pub policy: NamePolicy,
    pub now: Timestamp,
}

impl Visit {
    pub fn new(person: &Person, decision: Decision) -> Self {
        let token = RefreshToken::first(Entropy);
        let caller = Caller {
            ip: Some("192.0.2.7".to_owned()),
            user_agent: Some("A browser".to_owned()),
            request_id: "request-1".to_owned(),
        };
        Self {
            decision,
            new_account: AccountId(Entropy.id(NOON)),
            new_identity: Entropy.id(NOON),
            claims: person.claims(),
            label: person.0["name"].as_str().map(str::to_owned),
            session: NewSession {
                id: SessionId(Entropy.id(NOON)),
                created_at: NOON,
                expires_at: NOON.plus(Duration::from_hours(8)),
                refresh: token.hash(),
                id_token: None,
                caller,
            },
            token,
            browser: None,
            handoff: None,
            default_group: None,
            policy: NamePolicy {
                reserved: vec!["root".to_owned()],
                privileged_roles: vec!["admin".to_owned()],
            },
            now: NOON,
        }
    }

    pub fn creating(person: &Person, names: &[&str]) -> Self {
        Self::new(person, Decision::Create(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self.session.created_at = now;
        self
    }

    pub async fn commit_login(&self, store: &dyn Store) -> Committed {
        let session_kind = match (&self.decision, &self.handoff) {
            (Decision::Link(_), _) => SessionKind::Nothing,
            (_, Some(handoff)) => SessionKind::HandOff(handoff),
            (_, None) => SessionKind::Session(&self.session),
        };
        let commit = LoginCommit {
            decision: &self.decision,
            new_account: self.new_account,
            new_identity: self.new_identity,
            claims: &self.claims,
            label: self.label.as_deref(),
            session_kind,
            browser: self.browser,
            policy: &self.policy,
            default_group: self.default_group,
            caller: &self.session.caller,
            now: self.now,
        };
        store.commit_login(&commit).await.unwrap()
    }

    /// Writes the login and asserts that it does not conflict.
    pub async fn succeeds(&self, store: &dyn Store) -> SessionWithAccount {
        match self.commit_login(store).await {
            Committed::Done(written) => entry(*written),
            Committed::Conflict => panic!("the login conflicts: {self:?}"),
        }
    }

    /// Logs in like the login flow: finds candidates, decides and writes, and repeats that once after a
    /// conflict.
    pub async fn log_in(mut self, store: &dyn Store) -> Option<SessionWithAccount> {
        let name = portico_core::account::adoptable_name(&self.claims);
        for _ in 0..2 {
            let found = store.find_candidates(self.claims.identity(), name.as_deref()).await.unwrap();
            self.decision =
                decide(&self.policy, true, &self.claims, &found, &NameSuffix::random(Entropy)).unwrap();
            if let Committed::Done(written) = self.commit_login(store).await {
                return Some(entry(*written));
            }
        }
        None
    }
}

/// The created session with its account.
fn entry(written: CommittedLogin) -> SessionWithAccount {
    SessionWithAccount {
        session: written.session.expect("the login creates a session"),
        account: written.account,
    }
}
