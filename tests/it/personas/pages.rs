//! The settings on the pages of `docs/providers`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use portico_demo_idp::Realm;
use portico_demo_idp::personas::Persona;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers")
}

/// The names of all pages except the index.
pub fn names() -> Vec<String> {
    let entries =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect()
}

/// The environment variables of one block of settings.
pub struct Settings {
    pub variables: BTreeMap<String, String>,
}

impl Settings {
    /// The variables of one block of a page, as a shell sets them.
    pub fn parse(page: &str, block: usize) -> Self {
        let text = std::fs::read_to_string(folder().join(format!("{page}.md"))).unwrap();
        let blocks: Vec<&str> =
            text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        let block = blocks.get(block).unwrap_or_else(|| panic!("{page} has no block {block}"));
        let mut shell = Command::new("sh");
        let pasted =
            shell.env_clear().args(["-ec", &format!("{block}\nexec /usr/bin/env -0")]).output().unwrap();
        assert!(pasted.status.success() && pasted.stderr.is_empty(), "{page}: {pasted:?}");
        let exported = String::from_utf8(pasted.stdout).unwrap();
        let variables = exported.split_terminator('\0').filter_map(|variable| variable.split_once('='));
        let variables = variables.filter(|(name, _)| name.starts_with("PORTICO_"));
        let variables: BTreeMap<_, _> =
            variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(variables.len(), block.lines().count(), "{page}: {variables:?}");
        Self { variables }
    }

    /// Replaces the provider's addresses and credentials by those of a realm.
    pub fn at(mut self, realm: &Realm, persona: &Persona) -> Self {
        let client = realm.first_client().unwrap();
        for (name, value) in &mut self.variables {
            let setting = ["OIDC_PROVIDER1_", "OAUTH2_PROVIDER1_", "OIDC_GOOGLE_", "OAUTH2_GOOGLE_"]
                .iter()
                .find_map(|prefix| name.split_once(prefix))
                .map_or("", |(_, setting)| setting);
            let own = match setting {
                "CLIENT_ID" => client.id.clone(),
                "CLIENT_SECRET" => client.auth.secret().unwrap().to_owned(),
                "DISCOVERY_URL" => format!("{}{}", realm.issuer(), persona.discovery),
                "AUTHORIZATION_URL" => realm.authorization_url(),
                "TOKEN_URL" => realm.token_url(),
                "USERINFO_URL" => realm.userinfo_url(),
                "EMAILS_URL" => realm.emails_url(),
                _ => continue,
            };
            *value = own;
        }
        if persona.name == "google" {
            // The slot has Google's addresses built in.
            for (name, value) in [
                ("DISCOVERY_URL", format!("{}{}", realm.issuer(), persona.discovery)),
                ("ISSUER", realm.issuer().to_owned()),
                ("ISSUER_ALIASES", "accounts.google.com".to_owned()),
                ("CLOUDIDENTITY_URL", realm.groups_url()),
            ] {
                self.variables.insert(format!("PORTICO_OIDC_GOOGLE_{name}"), value);
            }
        }
        self
    }
}
