//! `portico accounts merge`: moves the identities and grants of one account to another.

use clap::Args;
use portico_core::account::{Account, AccountStatus, Identity};
use portico_core::audit::Event;
use portico_core::store::{Merged, Store};
use serde_json::json;

use super::lookup::find;
use super::output::{account_json, account_line, by_operator, identity_json};
use crate::failure::Failure;
use crate::output::print_out;

#[derive(Debug, Args)]
pub(in crate::cli) struct Merge {
    /// The account to delete: id, or exact name without an @
    from: String,
    /// The account that receives identities and grants: id, or exact name without an @
    into: String,
    /// Merge the accounts; without this, only show the changes
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
            Merged::Unknown => {
                return Err(Failure::Failed("one of the two accounts no longer exists".to_owned()));
            }
        }
        Ok(())
    }

    fn preview(&self, from: &Account, identities: &[Identity], into: &Account) {
        if self.json {
            let identities: Vec<_> = identities.iter().map(identity_json).collect();
            let preview = json!({
                "from": account_json(from),
                "into": account_json(into),
                "identities": identities,
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
        print_out("The first account is deleted, and the sessions of both end. Re-run with --yes to merge.");
    }
}

fn refused() -> Failure {
    Failure::Failed("the first account must not be deleted, and the second must be active".to_owned())
}
