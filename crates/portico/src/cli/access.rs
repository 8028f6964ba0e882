//! `portico access`: admission, groups and roles of a claims document under the current settings. It uses
//! neither the store nor a provider.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use portico_core::admission::AdmissionVerdict;
use portico_core::claims::{Claims, Evidence};
use portico_core::provider::{Issuer, ProviderKind, Slot};
use portico_core::slot::SlotId;
use portico_outbound::json;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output::print_out;
use crate::settings::{Loaded, Settings};

/// The size limit of a document in bytes, equal to that of userinfo.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Debug, Subcommand)]
pub(super) enum Access {
    /// Show whether a claims document is admitted, and with which groups and roles
    ///
    /// Nothing is verified: no signature, audience, time or nonce. Locally granted roles are not included.
    /// Exit code 0 if the person is admitted, 1 if not.
    Explain(Explain),
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The slot, such as oidc/provider1
    #[arg(long, value_name = "SLOT", value_parser = slot_id)]
    slot: SlotId,
    /// Claims as a JSON object: the ID token, or in OAuth 2.0 the userinfo; - reads standard input
    #[arg(value_name = "CLAIMS.json")]
    claims: PathBuf,
    /// The userinfo response beside an ID token, a JSON object
    #[arg(long, value_name = "FILE")]
    userinfo: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

fn slot_id(text: &str) -> Result<SlotId, String> {
    text.parse().map_err(|_| "must be a slot such as oidc/provider1".to_owned())
}

impl Access {
    pub(super) fn run(self, loaded: &Loaded) -> Result<(), Failure> {
        let Self::Explain(explain) = self;
        explain.run(&loaded.settings)
    }
}

impl Explain {
    fn run(&self, settings: &Settings) -> Result<(), Failure> {
        let slot = settings.slots.iter().find(|slot| slot.id() == self.slot);
        let slot = slot.ok_or_else(|| Failure::Failed(format!("{} is not enabled", self.slot)))?;
        let claims = read_object(&self.claims)?;
        let userinfo = self.userinfo.as_deref().map(read_object).transpose()?;
        let person = evidence(slot, claims, userinfo)
            .and_then(|evidence| slot.claims_from(&evidence).map_err(|error| error.to_string()));
        let person = person
            .map_err(|why| Failure::Failed(format!("{} would not admit this person: {why}", self.slot)))?;
        let explanation = Explanation::new(settings, slot, &person);
        print_out(&if self.json { explanation.json().to_string() } else { explanation.text() });
        match explanation.refused_by() {
            None => Ok(()),
            Some(list) => Err(Failure::Failed(format!("{} would not admit this person: {list}", self.slot))),
        }
    }
}

fn read_object(path: &Path) -> Result<Map<String, Value>, Failure> {
    let failed = |what: String| Failure::Failed(format!("{}: {what}", path.display()));
    let mut text = Vec::new();
    let done = match path.to_str() {
        Some("-") => std::io::stdin().take(MAX_BYTES + 1).read_to_end(&mut text),
        _ => std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text)),
    };
    done.map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(failed("is larger than 1 MiB".to_owned()));
    }
    json::object(&text).map_err(|error| failed(error.to_string()))
}

/// The documents as evidence, as if all checks of a login had passed.
fn evidence(
    slot: &Slot,
    claims: Map<String, Value>,
    userinfo: Option<Map<String, Value>>,
) -> Result<Evidence, String> {
    match &slot.kind {
        ProviderKind::OAuth2(oauth2) => {
            Ok(Evidence::OAuth2 { namespace: oauth2.identity_namespace.clone(), userinfo: claims })
        }
        ProviderKind::Oidc(oidc) => {
            let named = claims.get("iss").and_then(Value::as_str);
            let own = oidc.issuer.clone().or_else(|| named.map(Issuer::new));
            let own = own.unwrap_or_else(|| Issuer::new(oidc.discovery_url.origin().ascii_serialization()));
            let tenant = claims.get("tid").and_then(Value::as_str);
            let issuer = own.of_tenant(tenant).ok_or("tid must be the GUID of a tenant in lower case")?;
            Ok(Evidence::Oidc { issuer: Issuer::new(issuer), id_token: claims, signed: true, userinfo })
        }
    }
}

/// The decision about the claims of a person.
struct Explanation<'a> {
    slot: SlotId,
    person: &'a Claims,
    verdicts: [AdmissionVerdict<'a>; 4],
    roles: Vec<String>,
}

impl<'a> Explanation<'a> {
    fn new(settings: &Settings, slot: &'a Slot, person: &'a Claims) -> Self {
        let session_claims = person.session_claims();
        Self {
            slot: slot.id(),
            person,
            verdicts: slot.access.judge(session_claims),
            roles: settings.roles.roles(Some(slot.id()), session_claims.groups.as_deref(), &[]),
        }
    }

    fn refused_by(&self) -> Option<&'static str> {
        self.verdicts.iter().find(|verdict| !verdict.passes).map(|verdict| verdict.list)
    }

    fn json(&self) -> Value {
        let (identity, session_claims, email) =
            (self.person.identity(), self.person.session_claims(), self.person.email());
        json!({
            "slot": self.slot.to_string(),
            "admitted": self.refused_by().is_none(),
            "refused_by": self.refused_by(),
            "identity": {
                "protocol": identity.protocol.as_str(),
                "issuer": identity.issuer,
                "subject": identity.subject.as_str(),
            },
            "name": self.person.name().map(|name| &name.text),
            "email": email.map(|email| &email.address),
            "email_verified": email.and_then(|email| email.verified),
            "groups": session_claims.groups,
            "groups_overage": session_claims.groups_overage,
            "roles": self.roles,
        })
    }

    fn text(&self) -> String {
        let (identity, session_claims) = (self.person.identity(), self.person.session_claims());
        let email = self.person.email().map(|email| match email.verified {
            Some(true) => format!("{} (verified)", email.address),
            Some(false) => format!("{} (not verified)", email.address),
            None => format!("{} (verification unknown)", email.address),
        });
        let groups = match &session_claims.groups {
            Some(groups) if groups.is_empty() => "an empty list".to_owned(),
            Some(groups) => groups.join(", "),
            None if session_claims.groups_overage => {
                "omitted by the provider because there are too many".to_owned()
            }
            None => "none sent".to_owned(),
        };
        let none = || "none".to_owned();
        let roles = if self.roles.is_empty() { none() } else { self.roles.join(", ") };
        let mut lines = vec![
            format!("identity  {} at {}", identity.subject.as_str(), identity.issuer),
            format!("name      {}", self.person.name().map_or_else(none, |name| name.text.clone())),
            format!("email     {}", email.unwrap_or_else(none)),
            format!("groups    {groups}"),
            format!("roles     {roles}"),
        ];
        for verdict in self.verdicts.iter().filter(|verdict| !verdict.allowed.is_empty()) {
            let word = if verdict.passes { "passes" } else { "fails " };
            lines.push(format!("{word}    {}: {}", verdict.list, verdict.allowed.join(", ")));
        }
        if self.refused_by().is_none() {
            lines.push(format!("{} would admit this person.", self.slot));
        }
        lines.join("\n")
    }
}
