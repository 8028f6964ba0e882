//! A store that works, except for the one thing a test switches off.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use portico_core::account::{Account, Candidates, Identity, NamePolicy};
use portico_core::claims::IdentityKey;
use portico_core::clock::Timestamp;
use portico_core::keys::StoredKey;
use portico_core::session::{SessionId, TokenHash};
use portico_core::store::{
    AccountFilter, AccountRef, AuditEvent, LocalAccount, Present, Rotate, Rotation, Settled, Settlement,
    Spent, Store, StoreError,
};

/// The real store behind a switch for each of its methods.
pub struct Faulty {
    inner: Arc<dyn Store>,
    broken: Mutex<Vec<&'static str>>,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, broken: Mutex::default() })
    }

    /// From now on this method fails as if the disk were gone.
    pub fn break_method(&self, method: &'static str) {
        self.broken.lock().unwrap().push(method);
    }

    /// Everything works again.
    pub fn heal(&self) {
        self.broken.lock().unwrap().clear();
    }

    fn check(&self, method: &str) -> Result<(), StoreError> {
        if self.broken.lock().unwrap().contains(&method) {
            return Err(StoreError::Unavailable("broken by a test".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Faulty {
    async fn ping(&self) -> Result<(), StoreError> {
        self.check("ping")?;
        self.inner.ping().await
    }

    async fn spend_login(&self, login: &[u8; 32], forget_at: Timestamp) -> Result<Spent, StoreError> {
        self.check("spend_login")?;
        self.inner.spend_login(login, forget_at).await
    }

    async fn find_candidates(
        &self,
        identity: &IdentityKey,
        name: Option<&str>,
    ) -> Result<Candidates, StoreError> {
        self.check("find_candidates")?;
        self.inner.find_candidates(identity, name).await
    }

    async fn settle(&self, settlement: &Settlement<'_>) -> Result<Settled, StoreError> {
        self.check("settle")?;
        self.inner.settle(settlement).await
    }

    async fn find_session(&self, id: SessionId) -> Result<Option<Present>, StoreError> {
        self.check("find_session")?;
        self.inner.find_session(id).await
    }

    async fn find_refresh(&self, presented: &TokenHash) -> Result<Option<SessionId>, StoreError> {
        self.check("find_refresh")?;
        self.inner.find_refresh(presented).await
    }

    async fn rotate_refresh(&self, rotate: &Rotate) -> Result<Rotation, StoreError> {
        self.check("rotate_refresh")?;
        self.inner.rotate_refresh(rotate).await
    }

    async fn revoke_session(&self, id: SessionId, event: &AuditEvent) -> Result<bool, StoreError> {
        self.check("revoke_session")?;
        self.inner.revoke_session(id, event).await
    }

    async fn create_account(
        &self,
        account: &LocalAccount,
        event: &AuditEvent,
    ) -> Result<Option<Account>, StoreError> {
        self.check("create_account")?;
        self.inner.create_account(account, event).await
    }

    async fn list_accounts(&self, filter: &AccountFilter) -> Result<Vec<Account>, StoreError> {
        self.check("list_accounts")?;
        self.inner.list_accounts(filter).await
    }

    async fn find_account(
        &self,
        account: &AccountRef,
    ) -> Result<Option<(Account, Vec<Identity>)>, StoreError> {
        self.check("find_account")?;
        self.inner.find_account(account).await
    }

    async fn count_adoptable(&self, policy: &NamePolicy) -> Result<u64, StoreError> {
        self.check("count_adoptable")?;
        self.inner.count_adoptable(policy).await
    }

    async fn list_keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.check("list_keys")?;
        self.inner.list_keys().await
    }

    async fn add_first_key(&self, key: &StoredKey) -> Result<bool, StoreError> {
        self.check("add_first_key")?;
        self.inner.add_first_key(key).await
    }

    async fn record(&self, event: &AuditEvent) -> Result<(), StoreError> {
        self.check("record")?;
        self.inner.record(event).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.check("sweep")?;
        self.inner.sweep(now).await
    }
}
