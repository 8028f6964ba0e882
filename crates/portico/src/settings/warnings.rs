//! Warnings about valid settings that are risky or probably unintended. They are logged at each start.

use portico_core::provider::{NonceMode, OidcSettings, Pkce, ProviderKind, SignatureCheck, Slot};
use portico_core::session::Lifetimes;
use portico_core::slot::SlotId;
use url::Url;

use super::global::Settings;
use super::reader::Known;
use super::table::{self, Setting};

/// Hosts of providers with public registration.
const PUBLIC_PROVIDERS: [&str; 15] = [
    "accounts.google.com",
    "appleid.apple.com",
    "bitbucket.org",
    "codeberg.org",
    "discord.com",
    "github.com",
    "gitlab.com",
    "id.twitch.tv",
    "login.live.com",
    "login.yahoo.com",
    "oauth.reddit.com",
    "slack.com",
    "twitter.com",
    "www.facebook.com",
    "www.linkedin.com",
];

/// One sentence for each warning.
pub(super) fn warnings(settings: &Settings, known: &Known) -> Vec<String> {
    let mut warnings: Vec<_> = settings.slots.iter().flat_map(slot_warnings).collect();
    warnings.extend(disabled_slots_with_client(settings, known));
    warnings.extend(lifetime_warnings(&settings.lifetimes));
    if settings.slots.is_empty() {
        let lists = "security.oidc_providers or security.oauth2_providers";
        warnings.push(format!("no slot is enabled, so no login is possible; name slots in {lists}"));
    }
    warnings.extend(fallback_warning(settings));
    warnings.extend(storage_warning(&settings.storage_url));
    warnings
}

/// Slots with a client id that are not enabled.
fn disabled_slots_with_client(settings: &Settings, known: &Known) -> Vec<String> {
    let enabled = |id| settings.slots.iter().any(|slot| slot.id() == id);
    let client = |id| Setting { spec: &table::CLIENT_ID, slot: Some(id) };
    let disabled = SlotId::all()
        .map(client)
        .filter(|client| known.is_set(client) && client.slot.is_some_and(|id| !enabled(id)));
    let sentence = |client: Setting| {
        let id = client.slot?;
        let origin = &known.find(&client)?.origin;
        let list = format!("security.{}_providers", id.protocol);
        Some(format!("{id} has a client_id ({origin}) but is not enabled; name it in {list}"))
    };
    disabled.filter_map(sentence).collect()
}

/// Lifetimes that the lifetime of the session cuts short.
fn lifetime_warnings(lifetimes: &Lifetimes) -> Vec<String> {
    let all = [("access_token_lifetime", lifetimes.access_token), ("session_idle_timeout", lifetimes.idle)];
    let longer = all.into_iter().filter(|(_, time)| *time > lifetimes.session);
    let sentence = |(name, _)| {
        format!(
            "security.{name} is longer than security.refresh_token_lifetime, which ends the session earlier"
        )
    };
    longer.map(sentence).collect()
}

fn slot_warnings(slot: &Slot) -> Vec<String> {
    let mut warnings: Vec<_> = access_warning(slot).into_iter().collect();
    let mut warn = |sentence: &str| warnings.push(sentence.to_owned());
    if !slot.access.email_domains.is_empty() && sends_no_verified_mark(slot) {
        warn("allowed_email_domains will refuse every login: this provider does not mark verified addresses");
    }
    match (slot.pkce, &slot.kind) {
        (Pkce::S256, _) => {}
        (Pkce::OffByOperator, ProviderKind::Oidc(_)) => {
            warn("pkce_enabled is false; only the nonce binds a code to its login");
        }
        (Pkce::OffByOperator, ProviderKind::OAuth2(_)) => {
            warn("pkce_enabled is false; a stolen code can be used in another login");
        }
    }
    if slot.transport.allow_insecure_http {
        warn("allow_insecure_http is true; an attacker on the network can log in as any user");
    }
    if let ProviderKind::Oidc(oidc) = &slot.kind {
        oidc_warnings(oidc, &mut warn);
        if !slot.scopes.iter().any(|scope| scope == "openid") {
            warn("scopes has no openid; the provider may send no ID token");
        }
    }
    let id = slot.id();
    warnings.into_iter().map(|sentence| format!("{id}: {sentence}")).collect()
}

/// The warning about a slot without an access rule.
fn access_warning(slot: &Slot) -> Option<String> {
    if !slot.access.admits_everyone() {
        return None;
    }
    Some(match public_provider(slot) {
        Some(host) => {
            format!("ANYBODY WITH AN ACCOUNT AT {host} MAY LOG IN, because the slot has no access rule")
        }
        None => "every user of the provider may log in, because the slot has no access rule".to_owned(),
    })
}

/// Whether the provider sends no `email_verified`, as Entra ID and GitHub. GitHub's list of addresses has its
/// own mark.
fn sends_no_verified_mark(slot: &Slot) -> bool {
    if matches!(&slot.kind, ProviderKind::OAuth2(oauth2) if oauth2.emails_url.is_some()) {
        return false;
    }
    let host = host(slot).unwrap_or_default();
    let known = host.starts_with("login.microsoftonline.") || host == "github.com";
    known && slot.claims.email_verified.as_str() == "email_verified"
}

fn oidc_warnings(oidc: &OidcSettings, warn: &mut impl FnMut(&str)) {
    match oidc.signature {
        SignatureCheck::Verify => {}
        SignatureCheck::SkippedByOperator => {
            warn(
                "id_token_verify_signature is false; signature, audience and issuer of ID tokens are not \
                 checked",
            );
        }
    }
    match oidc.nonce {
        NonceMode::Required => {}
        NonceMode::IfPresent => warn("nonce_mode is if_present; the ID token of another login may pass"),
        NonceMode::Never => warn("nonce_mode is never; the ID token of another login may pass"),
    }
}

/// The host of the provider, if it has public registration.
fn public_provider(slot: &Slot) -> Option<&str> {
    host(slot).filter(|host| PUBLIC_PROVIDERS.contains(host))
}

fn host(slot: &Slot) -> Option<&str> {
    match &slot.kind {
        ProviderKind::Oidc(oidc) => &oidc.discovery_url,
        ProviderKind::OAuth2(oauth2) => &oauth2.authorization_url,
    }
    .host_str()
}

/// The name fallback at providers where users choose their names, and in OAuth 2.0, which has no signed name.
fn fallback_warning(settings: &Settings) -> Option<String> {
    let risky = |slot: &&Slot| {
        slot.name_fallback
            && (public_provider(slot).is_some() || matches!(slot.kind, ProviderKind::OAuth2(_)))
    };
    let slots: Vec<_> = settings.slots.iter().filter(risky).map(|slot| slot.id().to_string()).collect();
    (!slots.is_empty()).then(|| {
        format!(
            "the name fallback is on for {}: a user who chooses the name of a local account there adopts it; \
             set account_name_fallback to false for these slots, or security.sso_account_name_fallback for \
             all",
            slots.join(", ")
        )
    })
}

/// PostgreSQL on another host without required TLS.
fn storage_warning(storage_url: &str) -> Option<String> {
    let url = Url::parse(storage_url).ok().filter(|url| url.scheme().starts_with("postgres"))?;
    let option =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let here = url.host_str().is_none_or(|host| ["", "localhost", "127.0.0.1", "[::1]"].contains(&host));
    let local = here && option("host").is_none_or(|host| host.starts_with('/'));
    let encrypted = ["sslmode", "ssl-mode"]
        .into_iter()
        .filter_map(option)
        .any(|mode| ["require", "verify-ca", "verify-full"].contains(&mode.to_ascii_lowercase().as_str()));
    (!local && !encrypted).then(|| {
        "storage.url: the connection to PostgreSQL may be in clear text; add sslmode=verify-full".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_to_another_host_is_warned_about() {
        for (url, warned) in [
            ("postgres://u:p@db.example.org/portico", true),
            ("postgresql://db.example.org/portico?sslmode=prefer", true),
            ("postgres://db.example.org/portico?sslmode=disable", true),
            ("postgres://db.example.org/portico?sslmode=verify-full", false),
            ("postgres://db.example.org/portico?sslmode=require", false),
            ("postgres://127.0.0.1:5432/portico", false),
            ("postgres://localhost/portico", false),
            ("postgres:///portico?host=/run/postgresql", false),
            ("postgres:///portico", false),
            ("postgres:///portico?host=db.example.org", true),
            ("sqlite://portico.db", false),
        ] {
            assert_eq!(storage_warning(url).is_some(), warned, "{url}");
        }
    }
}
