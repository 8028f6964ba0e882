//! `portico accounts merge`: the one way an identity moves.

use clap::Args;
use portico_core::account::{Account, AccountStatus, Identity};
use portico_core::audit::Event;
use portico_core::store::{Merged, Store};
use serde_json::json;

use super::{account_json, account_line, by_operator, find, identity_json};
use crate::cli::{Failure, print_out};

#[derive(Debug, Args)]
pub(in crate::cli) struct Merge {
    /// The account that gives everything away and is deleted: id, or exact name without an @
    from: String,
    /// The account that is kept: id, or exact name without an @
    into: String,
    /// Do it; without, only show what would be done
    #[arg(long)]
    yes: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl Merge {
    pub(super) async fn run(self, store: &dyn Store) -> Result<(), Failure> {
        let (from, identities) = find(store, &self.from).await?;
        let (into, _) = find(store, &self.into).await?;
        if from.id == into.id {
            return Err(Failure::Failed("both are the same account".to_owned()));
        }
        if from.status == AccountStatus::Deleted || into.status != AccountStatus::Active {
            return Err(refused());
        }
        if !self.yes {
            self.preview(&from, &identities, &into);
            return Ok(());
        }
        let event = by_operator(Event::AccountMerged, into.id).because(format!("from:{}", from.id));
        match store.merge_accounts(from.id, into.id, &event).await? {
            Merged::Done(account) if self.json => print_out(&account_json(&account).to_string()),
            Merged::Done(account) => print_out(&format!("Merged.\n{}", account_line(&account))),
            Merged::Refused => return Err(refused()),
            Merged::Unknown => return Err(Failure::Failed("one of the two accounts is gone".to_owned())),
        }
        Ok(())
    }

    fn preview(&self, from: &Account, identities: &[Identity], into: &Account) {
        if self.json {
            let moved: Vec<_> = identities.iter().map(identity_json).collect();
            let preview = json!({
                "from": account_json(from),
                "into": account_json(into),
                "identities": moved,
                "roles": from.roles,
                "groups": from.groups,
            });
            print_out(&preview.to_string());
            return;
        }
        print_out(&format!("from  {}\ninto  {}", account_line(from), account_line(into)));
        for identity in identities {
            let key = &identity.key;
            print_out(&format!("moves  {} {} {}", key.protocol, key.issuer, key.subject.as_str()));
        }
        for role in &from.roles {
            print_out(&format!("grants role  {role}"));
        }
        for group in &from.groups {
            print_out(&format!("grants group  {group}"));
        }
        print_out("The first account is deleted and the sessions of both end. Say --yes to do it.");
    }
}

fn refused() -> Failure {
    Failure::Failed(
        "only an account that is not deleted can be merged, and only into an active one".to_owned(),
    )
}
