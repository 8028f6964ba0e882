//! The global settings and the enabled slots, typed and checked.

use std::fmt;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use ipnet::IpNet;
use portico_core::account::NamePolicy;
use portico_core::admission::RoleMap;
use portico_core::keys::TokenAlg;
use portico_core::provider::Slot;
use portico_core::public_url::{PublicUrl, is_exact_loopback};
use portico_core::return_to::WebOrigin;
use portico_core::session::Lifetimes;
use portico_core::slot::SlotId;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::mistake::{Mistake, Report};
use super::network;
use super::reader::{Known, Reader};
use super::roles;
use super::secret_key::SecretKey;
use super::slot::{Shared, slot};
use super::table::{self, OTLP_ENDPOINT, SettingSpec};

/// The settings of a running service. They have no mistakes.
#[derive(Debug)]
pub struct Settings {
    /// The external URL of Portico.
    pub public_url: PublicUrl,
    /// The enabled slots in the order of their buttons: OpenID Connect first.
    pub slots: Vec<Slot>,
    /// Seals cookies and stored keys.
    pub secret_key: SecretKey,
    /// Older secret keys. They open what they sealed.
    pub secret_key_previous: Vec<SecretKey>,
    /// The signature algorithm of access tokens.
    pub signing_alg: TokenAlg,
    /// The audience of access tokens; never empty.
    pub token_audience: Vec<String>,
    /// The lifetimes of access tokens and sessions.
    pub lifetimes: Lifetimes,
    /// Reserved names and privileged roles.
    pub name_policy: NamePolicy,
    /// The mapping of groups to roles.
    pub roles: RoleMap,
    /// The group granted at a first login without groups.
    pub default_group: Option<String>,
    /// The URL to which providers redirect the browser after their own logout.
    pub post_logout_redirect_url: Option<Url>,
    /// The address of the public listener.
    pub listen: SocketAddr,
    /// The address of the operator's listener.
    pub admin_listen: SocketAddr,
    /// The page for failed browser logins; `None` is Portico's own page.
    pub error_url: Option<Url>,
    /// The networks whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The exact origins of frontends on other hosts.
    pub cors_origins: Vec<WebOrigin>,
    /// Further origins that `return_to` may name.
    pub return_origins: Vec<WebOrigin>,
    /// Requests per minute and client address; 0 is no limit.
    pub rate_limit: u64,
    /// The database.
    pub storage_url: StorageUrl,
    /// Whether `serve` and other commands migrate the database.
    pub auto_migrate: bool,
    /// How long audit events are stored; zero is without limit.
    pub audit_retention: Duration,
    /// The collector of traces (OTLP over HTTP), without `/v1/traces`.
    pub otlp_endpoint: Option<Url>,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// A level or valid tracing filter directives.
    pub log_filter: String,
}

/// A database URL, `sqlite:…` or `postgres://…`. `Debug` hides it because it may contain a password.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageUrl(String);

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// A JSON object: `timestamp`, `level`, `message`, `target`, and the fields of the event and its spans.
    Json,
    /// Plain text, with colours on a terminal.
    Text,
}

/// The URLs of the global settings. A field is `None` if it is not set or if a mistake is noted.
struct Urls {
    public: Option<PublicUrl>,
    audience: Option<Vec<String>>,
    post_logout_redirect: Option<Url>,
    error: Option<Url>,
}

impl Settings {
    /// The older secret keys, as bytes to derive keys from.
    pub fn secret_key_previous_bytes(&self) -> Vec<Vec<u8>> {
        self.secret_key_previous.iter().map(|key| key.expose().to_vec()).collect()
    }

    /// The settings, or `None` if a mistake is noted. Settings with a syntax of their own are parsed first:
    /// all their mistakes are noted before the first `?` returns.
    pub(super) fn from_known(known: &Known, enabled: &[SlotId], report: &mut Report) -> Option<Self> {
        let read = &mut known.reader(None, report);
        let urls = Urls::from_reader(read);
        let secret_key = read.parse_secret(&table::SECRET_KEY, SecretKey::parse);
        let secret_key_previous = read.parse_secrets(&table::SECRET_KEY_PREVIOUS, SecretKey::parse);
        let (listen, admin_listen) = listeners(read);
        let trusted_proxies = read.parse_each(&table::TRUSTED_PROXIES, network::parse);
        let cors_origins = read.parse_each(&table::CORS_ORIGINS, WebOrigin::parse);
        let return_origins = read.parse_each(&table::RETURN_ORIGINS, WebOrigin::parse);
        let storage_url = read.parse(&table::STORAGE_URL, StorageUrl::parse);
        let log_filter = read.parse(&table::LOG_LEVEL, log_filter);
        let roles = roles::role_map(read, enabled);
        let default_group = roles::default_group(read);
        let slots = slots(known, enabled, read);
        Some(Self {
            public_url: urls.public?,
            slots: slots?,
            secret_key: secret_key?,
            secret_key_previous: secret_key_previous?,
            signing_alg: read.choice(&table::SIGNING_ALG, &TokenAlg::ALL.map(|alg| (alg.as_str(), alg)))?,
            token_audience: urls.audience?,
            lifetimes: lifetimes(read)?,
            name_policy: name_policy(read)?,
            roles: roles?,
            default_group,
            post_logout_redirect_url: urls.post_logout_redirect,
            listen: listen?,
            admin_listen: admin_listen?,
            error_url: urls.error,
            trusted_proxies: trusted_proxies?,
            cors_origins: cors_origins?,
            return_origins: return_origins?,
            rate_limit: read.number(&table::RATE_LIMIT)?,
            storage_url: storage_url?,
            auto_migrate: read.flag(&table::AUTO_MIGRATE)?,
            audit_retention: read.duration(&table::AUDIT_RETENTION)?,
            otlp_endpoint: otlp_endpoint(known, read.report),
            log_format: LogFormat::from_reader(read),
            log_filter: log_filter?,
        })
    }
}

impl Urls {
    fn from_reader(read: &mut Reader<'_>) -> Self {
        let public = read.parse(&table::PUBLIC_URL, PublicUrl::parse);
        let audience = token_audience(read, public.as_ref());
        let post_logout_redirect = target_url(read, &table::POST_LOGOUT_REDIRECT_URL, public.as_ref());
        let error = target_url(read, &table::ERROR_URL, public.as_ref());
        Self { public, audience, post_logout_redirect, error }
    }
}

impl LogFormat {
    fn from_reader(read: &mut Reader<'_>) -> Self {
        let formats = [("json", Self::Json), ("text", Self::Text)];
        read.choice(&table::LOG_FORMAT, &formats).unwrap_or_else(Self::detect)
    }

    /// Text on a terminal, JSON otherwise.
    fn detect() -> Self {
        if std::io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// The collector of traces; `None` unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
fn otlp_endpoint(known: &Known, report: &mut Report) -> Option<Url> {
    let text = known.otlp_endpoint().filter(|text| !text.is_empty())?;
    let url = Url::parse(text).ok().filter(|url| {
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && plain
    });
    if url.is_none() {
        let wrong = "must be an http or https URL such as http://collector:4318, without a user name";
        report.mistakes.push(Mistake::variable(OTLP_ENDPOINT, wrong));
    }
    url
}

fn slots(known: &Known, enabled: &[SlotId], read: &mut Reader<'_>) -> Option<Vec<Slot>> {
    let name_fallback = read.flag(&table::SSO_ACCOUNT_NAME_FALLBACK).unwrap_or_default();
    let roles_from_groups = read.lists(&table::ROLES).is_some_and(|roles| !roles.is_empty());
    let shared = Shared { name_fallback, roles_from_groups };
    let slots: Vec<_> =
        enabled.iter().map(|id| slot(&mut known.reader(Some(*id), read.report), *id, shared)).collect();
    slots.into_iter().collect()
}

fn lifetimes(read: &mut Reader<'_>) -> Option<Lifetimes> {
    Some(Lifetimes {
        access_token: read.duration(&table::ACCESS_TOKEN_LIFETIME)?,
        session: read.duration(&table::REFRESH_TOKEN_LIFETIME)?,
        idle: read.duration(&table::SESSION_IDLE_TIMEOUT)?,
    })
}

fn name_policy(read: &mut Reader<'_>) -> Option<NamePolicy> {
    Some(NamePolicy {
        reserved: read.list(&table::RESERVED_NAMES)?.to_vec(),
        privileged_roles: read.list(&table::PRIVILEGED_ROLES)?.to_vec(),
    })
}

/// The audience of access tokens. A token without an audience would be valid at every service (RFC 9068 3).
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
            "is the address of the public listener; the operator's listener needs its own address",
        );
    }
    (public, operator)
}

/// A URL to which browsers are redirected: an https URL, or a path on the public origin.
fn target_url(
    read: &mut Reader<'_>,
    spec: &'static SettingSpec,
    public_url: Option<&PublicUrl>,
) -> Option<Url> {
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
            // The public URL has a mistake, which is noted.
            (true, None) => Url::parse(&format!("https://public.invalid{text}")),
            (false, _) => Url::parse(text),
        };
        let safe = |url: &Url| url.scheme() == "https" || url.scheme() == "http" && is_exact_loopback(url);
        let plain = |url: &Url| url.username().is_empty() && url.password().is_none() && url.has_host();
        url.ok().filter(|url| safe(url) && plain(url)).ok_or(WRONG)
    })
}

/// A level, or valid directives. `EnvFilter` parses an unknown word as a target, which would log nothing.
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
