//! The settings, from the texts an operator wrote to the types that the rest works with.
//!
//! Values come from environment variables, files that variables name, a TOML file and the defaults, in this order.
//! The raw texts are found first (`sources`, `file`), then each is understood by the kind of its setting (`values`),
//! then the whole is put together here. Every mistake on the way is collected; with one of them, nothing starts. What
//! settings there are says `table`, and nothing else does. Knows neither the store nor the network.

mod changes;
mod client_auth;
mod file;
mod mistake;
mod network;
mod reader;
#[cfg(test)]
mod reference;
mod render;
mod roles;
mod secret_key;
mod slot;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod values;
mod warnings;

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use ipnet::IpNet;
use portico_core::account::NamePolicy;
use portico_core::admission::RoleMap;
use portico_core::keys::TokenAlg;
use portico_core::provider::Slot;
use portico_core::public_url::{PublicUrl, is_loopback};
use portico_core::return_to::WebOrigin;
use portico_core::session::Lifetimes;
use portico_core::slot::{Protocol, SlotId, SlotName};
use tracing_subscriber::EnvFilter;
use url::Url;

pub use self::changes::{SettingChange, changes};
pub use self::mistake::{Mistake, Place};
pub use self::render::render;
pub use self::secret_key::SecretKey;
pub use self::sources::Sources;

use self::mistake::Report;
use self::reader::{Known, Reader};
use self::slot::Shared;
use self::table::{OTLP_ENDPOINT, SettingSpec};
use crate::log::LogFormat;

/// Settings without a mistake.
#[derive(Debug)]
pub struct Settings {
    /// Where the outside reaches us.
    pub public_url: PublicUrl,
    /// The enabled slots in the order of their buttons: OpenID Connect first.
    pub slots: Vec<Slot>,
    /// Seals cookies and stored keys.
    pub secret_key: SecretKey,
    /// Still open what they sealed.
    pub secret_key_previous: Vec<SecretKey>,
    /// How our tokens are signed.
    pub signing_alg: TokenAlg,
    /// The audience of our tokens; never empty.
    pub token_audience: Vec<String>,
    /// How long things last.
    pub lifetimes: Lifetimes,
    /// Reserved names and privileged roles.
    pub name_policy: NamePolicy,
    /// Which groups bring which roles.
    pub roles: RoleMap,
    /// Granted at a first login without groups.
    pub default_group: Option<String>,
    /// Where providers send the browser after their own logout.
    pub post_logout_redirect_url: Option<Url>,
    /// The public listener's address.
    pub listen: SocketAddr,
    /// The operator's listener's address.
    pub admin_listen: SocketAddr,
    /// Gets failed browser logins; `None` is our own page.
    pub error_url: Option<Url>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Exact origins of frontends elsewhere.
    pub cors_origins: Vec<WebOrigin>,
    /// Further origins that `return_to` may name.
    pub return_origins: Vec<WebOrigin>,
    /// Requests per minute and client address; 0 is no limit.
    pub rate_limit: u64,
    /// The database.
    pub storage_url: StorageUrl,
    /// Whether the database is migrated without being asked.
    pub auto_migrate: bool,
    /// How long audit events are kept; zero is for ever.
    pub audit_retention: Duration,
    /// The collector of traces (OTLP over HTTP), without `/v1/traces`.
    pub otlp_endpoint: Option<Url>,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// A level or tracing filter directives that parse.
    pub log_filter: String,
}

/// A database address, `sqlite:…` or `postgres://…`. `Debug` hides it: it may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageUrl(String);

/// Settings, what should be said about them, and where each came from.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// To be logged at each start.
    pub warnings: Vec<String>,
    known: Known,
}

/// A length of time as settings write it: seconds, or `15m`, `12h`, `30d`.
///
/// # Errors
/// A sentence that says what it must be.
pub fn duration(text: &str) -> Result<Duration, String> {
    values::duration(text).map(Duration::from_secs)
}

impl Loaded {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// Every mistake there is, not just the first.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Mistake>> {
        let mut report = Report::default();
        let Some(raw) = sources.read(&mut report) else { return Err(report.mistakes) };
        let known = Known::understand(raw, &mut report);
        let enabled = enabled(&known, &mut report);
        let settings = Settings::put_together(&known, &enabled, &mut report);
        match settings.filter(|_| report.mistakes.is_empty()) {
            Some(settings) => {
                let warnings = [warnings::warnings(&settings, &known), report.warnings].concat();
                Ok(Self { settings, warnings, known })
            }
            None => Err(report.mistakes),
        }
    }

    /// What the TOML file says in vain: the path, and the variable that wins.
    pub fn overridden(&self) -> impl Iterator<Item = (&str, &str)> {
        self.known.overridden()
    }
}

/// Where traces go; nowhere unless the standard variable says so.
fn otlp_endpoint(known: &Known, report: &mut Report) -> Option<Url> {
    let text = known.otlp_endpoint().filter(|text| !text.is_empty())?;
    let url = Url::parse(text).ok().filter(|url| {
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && plain
    });
    if url.is_none() {
        let wrong = "must be an http or https address such as http://collector:4318, without a user name";
        report.mistakes.push(Mistake::variable(OTLP_ENDPOINT, wrong));
    }
    url
}

/// The enabled slots in the order of their buttons.
fn enabled(known: &Known, report: &mut Report) -> Vec<SlotId> {
    let mut read = known.reader(None, report);
    let mut slots = Vec::new();
    for protocol in Protocol::ALL {
        let spec = match protocol {
            Protocol::Oidc => &table::OIDC_PROVIDERS,
            Protocol::OAuth2 => &table::OAUTH2_PROVIDERS,
        };
        let names = read.parse_each(spec, slot_name).unwrap_or_default();
        for name in names {
            let slot = SlotId { protocol, name };
            if slots.contains(&slot) {
                read.wrong(spec, format!("names {name} twice"));
            } else {
                slots.push(slot);
            }
        }
    }
    slots
}

fn slot_name(text: &str) -> Result<SlotName, String> {
    let known = SlotName::ALL.map(SlotName::as_str).join(", ");
    text.parse().map_err(|_| match text.to_ascii_lowercase().parse::<SlotName>() {
        Ok(name) => format!("must have slot names in lower case: {name}"),
        Err(_) => format!("has {text:?}, which is no slot; there are {known}, with commas between them"),
    })
}

impl Settings {
    /// The older secret keys, as bytes to derive keys from.
    pub fn secret_key_previous_bytes(&self) -> Vec<Vec<u8>> {
        self.secret_key_previous.iter().map(|key| key.expose().to_vec()).collect()
    }

    /// All settings, or `None` when something is wrong and noted. What has a form of its own is read first, so that
    /// every mistake is noted before the first one ends it.
    fn put_together(known: &Known, enabled: &[SlotId], report: &mut Report) -> Option<Self> {
        let read = &mut known.reader(None, report);
        let public_url = read.parse(&table::PUBLIC_URL, PublicUrl::parse);
        let secret_key = read.parse_secret(&table::SECRET_KEY, SecretKey::parse);
        let secret_key_previous = read.parse_secrets(&table::SECRET_KEY_PREVIOUS, SecretKey::parse);
        let token_audience = token_audience(read, public_url.as_ref());
        let post_logout_redirect_url = target(read, &table::POST_LOGOUT_REDIRECT_URL, public_url.as_ref());
        let error_url = target(read, &table::ERROR_URL, public_url.as_ref());
        let (listen, admin_listen) = listeners(read);
        let trusted_proxies = read.parse_each(&table::TRUSTED_PROXIES, network::parse);
        let cors_origins = read.parse_each(&table::CORS_ORIGINS, WebOrigin::parse);
        let return_origins = read.parse_each(&table::RETURN_ORIGINS, WebOrigin::parse);
        let storage_url = read.parse(&table::STORAGE_URL, StorageUrl::parse);
        let log_filter = read.parse(&table::LOG_LEVEL, log_filter);
        let roles = roles::role_map(read, enabled);
        let default_group = roles::default_group(read);
        let slots = slots(known, enabled, read);
        let formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
        Some(Self {
            public_url: public_url?,
            slots: slots?,
            secret_key: secret_key?,
            secret_key_previous: secret_key_previous?,
            signing_alg: read.choice(&table::SIGNING_ALG, &TokenAlg::ALL.map(|alg| (alg.as_str(), alg)))?,
            token_audience: token_audience?,
            lifetimes: lifetimes(read)?,
            name_policy: NamePolicy {
                reserved: read.list(&table::RESERVED_NAMES)?.to_vec(),
                privileged_roles: read.list(&table::PRIVILEGED_ROLES)?.to_vec(),
            },
            roles: roles?,
            default_group,
            post_logout_redirect_url,
            listen: listen?,
            admin_listen: admin_listen?,
            error_url,
            trusted_proxies: trusted_proxies?,
            cors_origins: cors_origins?,
            return_origins: return_origins?,
            rate_limit: read.number(&table::RATE_LIMIT)?,
            storage_url: storage_url?,
            auto_migrate: read.flag(&table::AUTO_MIGRATE)?,
            audit_retention: read.duration(&table::AUDIT_RETENTION)?,
            otlp_endpoint: otlp_endpoint(known, read.report),
            log_format: read.choice(&table::LOG_FORMAT, &formats).unwrap_or_else(LogFormat::default_here),
            log_filter: log_filter?,
        })
    }
}

fn slots(known: &Known, enabled: &[SlotId], read: &mut Reader<'_>) -> Option<Vec<Slot>> {
    let name_fallback = read.flag(&table::SSO_ACCOUNT_NAME_FALLBACK).unwrap_or_default();
    let roles_from_groups = read.lists(&table::ROLES).is_some_and(|roles| !roles.is_empty());
    let shared = Shared { name_fallback, roles_from_groups };
    let slots: Vec<_> =
        enabled.iter().map(|id| slot::slot(&mut known.reader(Some(*id), read.report), *id, shared)).collect();
    slots.into_iter().collect()
}

fn lifetimes(read: &mut Reader<'_>) -> Option<Lifetimes> {
    Some(Lifetimes {
        access_token: read.duration(&table::ACCESS_TOKEN_LIFETIME)?,
        session: read.duration(&table::REFRESH_TOKEN_LIFETIME)?,
        idle: read.duration(&table::SESSION_IDLE_TIMEOUT)?,
    })
}

/// The audience of our tokens: a token without one would be good for everybody (RFC 9068 3).
fn token_audience(read: &mut Reader<'_>, public_url: Option<&PublicUrl>) -> Option<Vec<String>> {
    match read.list(&table::TOKEN_AUDIENCE) {
        Some([]) => {
            read.wrong(&table::TOKEN_AUDIENCE, "is empty; name at least one audience, or leave it out");
            None
        }
        Some(audience) => Some(audience.to_vec()),
        None => public_url.map(|url| vec![url.as_str().to_owned()]),
    }
}

fn listeners(read: &mut Reader<'_>) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let address = |text: &str| {
        text.parse::<SocketAddr>().map_err(|_| "must be an IP address and a port, such as 127.0.0.1:8080")
    };
    let public = read.parse(&table::SERVER_LISTEN, address);
    let operator = read.parse(&table::SERVER_ADMIN_LISTEN, address);
    if public == operator && public.is_some_and(|address| address.port() != 0) {
        read.wrong(
            &table::SERVER_ADMIN_LISTEN,
            "is the address of the public listener; the operator's needs its own",
        );
    }
    (public, operator)
}

/// A place that browsers are sent to: an https URL, or a path on the public origin.
fn target(read: &mut Reader<'_>, spec: &'static SettingSpec, public_url: Option<&PublicUrl>) -> Option<Url> {
    if !read.is_set(spec) {
        return None;
    }
    read.parse(spec, |text| {
        const WRONG: &str = "must be an https URL, or a path on the public origin that begins with one slash";
        let blank = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if text.contains(blank) || text.starts_with("//") {
            return Err(WRONG);
        }
        let url = match (text.starts_with('/'), public_url) {
            (true, Some(public_url)) => public_url.at("/").join(text),
            // The public URL is wrong itself, and that is noted.
            (true, None) => Url::parse(&format!("https://public.invalid{text}")),
            (false, _) => Url::parse(text),
        };
        let safe = |url: &Url| url.scheme() == "https" || url.scheme() == "http" && is_loopback(url);
        let ours = |url: &Url| url.username().is_empty() && url.password().is_none() && url.has_host();
        url.ok().filter(|url| safe(url) && ours(url)).ok_or(WRONG)
    })
}

/// A level, or directives that parse. One word that is no level would be taken for a target, and nothing would be
/// logged.
fn log_filter(text: &str) -> Result<String, &'static str> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let word = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text));
    if (word && !level) || EnvFilter::try_new(text).is_err() {
        return Err(
            "must be error, warn, info, debug, trace, off, or directives such as info,portico_oidc=debug",
        );
    }
    Ok(text.to_owned())
}

impl StorageUrl {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let known = ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
        if known { Ok(Self(text.to_owned())) } else { Err("must begin with sqlite:// or postgres://") }
    }
}

impl Deref for StorageUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageUrl([REDACTED])")
    }
}
