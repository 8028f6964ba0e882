//! Converts rows to core types. A row that does not convert is reported as corrupt; no value is guessed.

use std::borrow::Cow;

use portico_core::account::{Account, AccountId, AccountStatus, Identity};
use portico_core::audit::{AuditEvent, Event, Outcome};
use portico_core::claims::{Email, IdentityKey, SessionClaims, Subject};
use portico_core::clock::Timestamp;
use portico_core::keys::{KeyState, StoredKey, TokenAlg};
use portico_core::session::{BREAK_GLASS, Challenge, HandOff, Session, SessionId, TokenHash};
use portico_core::slot::{Protocol, SlotId};
use portico_core::store::{IdentityCount, SessionWithAccount};
use sqlx::Database;
use uuid::Uuid;

use crate::backend::{Backend, DbError, Stores};

/// The columns of a row, with the kind of row for error messages.
pub(crate) struct Fields<'r, DB: Database> {
    kind: &'static str,
    row: &'r DB::Row,
}

impl<'r, DB: Backend> Fields<'r, DB> {
    pub(crate) fn new(kind: &'static str, row: &'r DB::Row) -> Self {
        Self { kind, row }
    }

    pub(crate) fn get<T>(&self, column: &'static str) -> Result<T, DbError>
    where
        DB: Stores<T>,
    {
        DB::column(self.row, column).map_err(|error| self.corrupt(error.to_string()))
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, DbError> {
        Ok(Timestamp::from_unix(self.get(column)?))
    }

    fn maybe_time(&self, column: &'static str) -> Result<Option<Timestamp>, DbError> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_unix))
    }

    pub(crate) fn slot(&self) -> Result<SlotId, DbError> {
        self.parsed("slot", |text| text.parse().ok())
    }

    /// The slot of a session; `None` if a break-glass code started it.
    fn session_slot(&self) -> Result<Option<SlotId>, DbError> {
        self.parsed("slot", |text| if text == BREAK_GLASS { Some(None) } else { text.parse().ok().map(Some) })
    }

    pub(crate) fn hash(&self, column: &'static str) -> Result<TokenHash, DbError> {
        let bytes: Vec<u8> = self.get(column)?;
        bytes.try_into().map(TokenHash).map_err(|_| self.corrupt(format!("{column} is not 32 bytes long")))
    }

    /// Reads a text column and parses it.
    pub(crate) fn parsed<T>(
        &self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, DbError> {
        let text: String = self.get(column)?;
        parse(&text).ok_or_else(|| self.corrupt(format!("{column} is {text:?}")))
    }

    pub(crate) fn session_claims(&self) -> Result<SessionClaims, DbError> {
        self.parsed("facts", |text| serde_json::from_str(text).ok())
    }

    /// Granted names, joined by the queries of [`crate::sql`].
    fn granted(&self, column: &'static str) -> Result<Vec<String>, DbError> {
        let joined: Option<String> = self.get(column)?;
        Ok(joined.map(|names| names.split('\u{1f}').map(str::to_owned).collect()).unwrap_or_default())
    }

    fn corrupt(&self, problem: String) -> DbError {
        DbError::Corrupt { row: self.kind, problem }
    }
}

pub(crate) fn account<DB: Backend>(row: &DB::Row) -> Result<Account, DbError> {
    let fields = Fields::<DB>::new("account", row);
    let verified = fields.get("email_verified")?;
    let email: Option<String> = fields.get("email")?;
    Ok(Account {
        id: AccountId(fields.get("id")?),
        name: fields.get("name")?,
        label: fields.get("label")?,
        email: email.map(|address| Email { address, verified }),
        status: fields.parsed("status", AccountStatus::parse)?,
        roles: fields.granted("granted_roles")?,
        groups: fields.granted("granted_groups")?,
        ever_linked: fields.maybe_time("ever_linked_at")?.is_some(),
        created_at: fields.time("created_at")?,
        last_login_at: fields.maybe_time("last_login_at")?,
    })
}

pub(crate) fn identity<DB: Backend>(row: &DB::Row) -> Result<Identity, DbError> {
    let fields = Fields::<DB>::new("identity", row);
    Ok(Identity {
        id: fields.get("id")?,
        key: IdentityKey {
            protocol: fields.parsed("protocol", |text| text.parse::<Protocol>().ok())?,
            issuer: fields.get("issuer")?,
            subject: fields.parsed("subject", |text| Subject::parse(text).ok())?,
        },
        slot: fields.slot()?,
        email: fields.get("email")?,
        linked_at: fields.time("linked_at")?,
        last_login_at: fields.time("last_login_at")?,
    })
}

pub(crate) fn identity_count<DB: Backend>(row: &DB::Row) -> Result<IdentityCount, DbError> {
    let fields = Fields::<DB>::new("identity", row);
    Ok(IdentityCount {
        slot: fields.slot()?,
        issuer: fields.get("issuer")?,
        client_id: fields.get("client_id")?,
        count: fields.get::<i64>("people")?.unsigned_abs(),
    })
}

pub(crate) fn entry<DB: Backend>(row: &DB::Row) -> Result<SessionWithAccount, DbError> {
    Ok(SessionWithAccount { session: session::<DB>(row)?, account: account::<DB>(row)? })
}

pub(crate) fn session<DB: Backend>(row: &DB::Row) -> Result<Session, DbError> {
    let fields = Fields::<DB>::new("session", row);
    Ok(Session {
        id: SessionId(fields.get("session_id")?),
        account: AccountId(fields.get("account_id")?),
        identity: fields.get("identity_id")?,
        slot: fields.session_slot()?,
        session_claims: fields.session_claims()?,
        created_at: fields.time("began_at")?,
        last_used_at: fields.time("last_used_at")?,
        expires_at: fields.time("expires_at")?,
        revoked_at: fields.maybe_time("revoked_at")?,
        ip: fields.get("ip")?,
        user_agent: fields.get("user_agent")?,
    })
}

pub(crate) fn handoff<DB: Backend>(row: &DB::Row) -> Result<HandOff, DbError> {
    let fields = Fields::<DB>::new("hand-off", row);
    let challenge: Vec<u8> = fields.get("challenge")?;
    let challenge =
        challenge.try_into().map_err(|_| fields.corrupt("challenge is not 16 bytes long".to_owned()))?;
    Ok(HandOff {
        account: AccountId(fields.get("account_id")?),
        identity: fields.get("identity_id")?,
        slot: fields.slot()?,
        session_claims: fields.session_claims()?,
        challenge: Challenge(challenge),
        id_token: fields.get("id_token")?,
        created_at: fields.time("created_at")?,
        expires_at: fields.time("expires_at")?,
    })
}

pub(crate) fn event<DB: Backend>(row: &DB::Row) -> Result<AuditEvent, DbError> {
    let fields = Fields::<DB>::new("audit event", row);
    let slot: Option<String> = fields.get("slot")?;
    let slot = slot.map(|text| text.parse().map_err(|_| fields.corrupt(format!("slot is {text:?}"))));
    Ok(AuditEvent {
        id: fields.get("id")?,
        time: fields.time("time")?,
        event: fields.parsed("event", Event::parse)?,
        account: fields.get::<Option<Uuid>>("account_id")?.map(AccountId),
        slot: slot.transpose()?,
        outcome: fields.parsed("outcome", Outcome::parse)?,
        reason: fields.get::<Option<String>>("reason")?.map(Cow::Owned),
        request_id: fields.get("request_id")?,
        ip: fields.get("ip")?,
    })
}

/// When a refresh token was superseded, and the current token of its session.
pub(crate) fn superseded<DB: Backend>(row: &DB::Row) -> Result<(Timestamp, TokenHash), DbError> {
    let fields = Fields::<DB>::new("refresh token", row);
    Ok((fields.time("superseded_at")?, fields.hash("current_hash")?))
}

pub(crate) fn key<DB: Backend>(row: &DB::Row) -> Result<StoredKey, DbError> {
    let fields = Fields::<DB>::new("signing key", row);
    Ok(StoredKey {
        kid: fields.get("kid")?,
        alg: fields.parsed("alg", TokenAlg::parse)?,
        state: fields.parsed("state", KeyState::parse)?,
        public_jwk: fields.get("public_jwk")?,
        sealed: fields.get("sealed")?,
        created_at: fields.time("created_at")?,
        retires_at: fields.maybe_time("retires_at")?,
    })
}
