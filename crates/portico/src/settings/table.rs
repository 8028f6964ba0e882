//! The table of all settings: names, scopes, kinds and defaults.
//!
//! Variables, TOML paths, hints, `portico config` and the reference documents come from this table. It has no
//! values.

use std::ops::RangeInclusive;

use portico_core::slot::{Protocol, SlotId, SlotName};

use DefaultValue::{Is, Required, Unset};
use Scope::{EverySlot, Global, GoogleSlots, OAuth2Slots, OidcSlots};
use SettingKind::{
    Choice, Flag, List, Lists, Number, Pairs, Seconds, Secret, Secrets, StorageUrl, Text, Url, Words,
};

/// One setting, or the same setting of several slots.
#[derive(Debug)]
pub(super) struct SettingSpec {
    /// The TOML path. For a slot setting, its last segment.
    pub(super) path: &'static str,
    pub(super) scope: Scope,
    pub(super) kind: SettingKind,
    /// The default.
    pub(super) default_value: DefaultValue,
    /// The default of the google slots, if it differs.
    pub(super) google: Option<DefaultValue>,
    /// One sentence for the reference documents.
    pub(super) about: &'static str,
}

/// The scope of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Global,
    EverySlot,
    OidcSlots,
    OAuth2Slots,
    GoogleSlots,
}

/// The syntax of a value.
#[derive(Debug, Clone)]
pub(super) enum SettingKind {
    Text,
    /// Masked.
    Secret,
    /// A list, masked.
    Secrets,
    /// Printed with its password masked.
    StorageUrl,
    /// An http or https URL.
    Url,
    /// One of these words.
    Choice(&'static [&'static str]),
    Flag,
    List,
    /// A list, also separated by blanks.
    Words,
    /// A table of names and strings.
    Pairs,
    /// A table of names and lists.
    Lists,
    /// A duration, in seconds.
    Seconds(RangeInclusive<u64>),
    Number(RangeInclusive<u64>),
}

/// The default of a setting.
#[derive(Debug, Clone, Copy)]
pub(super) enum DefaultValue {
    /// None: the setting is required.
    Required,
    /// This value, as in a variable.
    Is(&'static str),
    /// No value. The text describes the effect.
    Unset(&'static str),
}

/// One setting of Portico or of one slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) spec: &'static SettingSpec,
    /// `None` for a global setting.
    pub(super) slot: Option<SlotId>,
}

impl SettingSpec {
    const fn new(
        path: &'static str,
        scope: Scope,
        kind: SettingKind,
        default_value: DefaultValue,
        about: &'static str,
    ) -> Self {
        Self { path, scope, kind, default_value, google: None, about }
    }

    const fn google(mut self, default_value: DefaultValue) -> Self {
        self.google = Some(default_value);
        self
    }

    /// Whether a slot has this setting. Global settings belong to no slot.
    pub(super) fn is_of(&self, slot: SlotId) -> bool {
        match self.scope {
            Global => false,
            EverySlot => true,
            OidcSlots => slot.protocol == Protocol::Oidc,
            OAuth2Slots => slot.protocol == Protocol::OAuth2,
            GoogleSlots => slot.name == SlotName::Google,
        }
    }
}

impl Setting {
    /// All settings, global ones first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let global = GLOBAL.iter().copied().map(|spec| Self { spec, slot: None });
        global.chain(SlotId::all().flat_map(Self::all_of))
    }

    /// All settings of one slot.
    pub(super) fn all_of(slot: SlotId) -> impl Iterator<Item = Self> {
        SLOT.iter()
            .copied()
            .filter(move |spec| spec.is_of(slot))
            .map(move |spec| Self { spec, slot: Some(slot) })
    }

    /// The full TOML path. It identifies the setting.
    pub(super) fn path(&self) -> String {
        match self.slot {
            None => self.spec.path.to_owned(),
            Some(slot) => {
                format!("security.{}_provider_settings.{}.{}", slot.protocol, slot.name, self.spec.path)
            }
        }
    }

    /// The variable, without the prefix and its underscore.
    pub(super) fn variable(&self) -> String {
        let name = match self.slot {
            None => self.spec.path.strip_prefix("main.").unwrap_or(self.spec.path).replace('.', "_"),
            Some(slot) => format!("{}_{}_{}", slot.protocol, slot.name, self.spec.path),
        };
        name.to_uppercase()
    }

    /// The default of this setting.
    pub(super) fn default_value(&self) -> DefaultValue {
        match (self.slot, self.spec.google) {
            (Some(SlotId { name: SlotName::Google, .. }), Some(google)) => google,
            _ => self.spec.default_value,
        }
    }
}

/// A standard variable without prefix and TOML path: the database, if `storage.url` is not set.
pub(super) const DATABASE_URL: &str = "DATABASE_URL";

/// A standard variable without prefix and TOML path: the collector of traces.
pub(super) const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Ten years in seconds, the maximum lifetime of a session.
const TEN_YEARS: u64 = 3650 * 86400;

macro_rules! table {
    ($all:ident: $($name:ident = $spec:expr;)*) => {
        $(pub(super) static $name: SettingSpec = $spec;)*
        pub(super) static $all: &[&SettingSpec] = &[$(&$name),*];
    };
}

table! { GLOBAL:
    PUBLIC_URL = SettingSpec::new("main.public_url", Global, Text, Required,
        "The external URL, optionally with a path; redirect URIs, issuer and cookies derive from it.");

    OIDC_PROVIDERS = SettingSpec::new("security.oidc_providers", Global, List, Is(""),
        "Enabled OpenID Connect slots, in the order of their buttons.");
    OAUTH2_PROVIDERS = SettingSpec::new("security.oauth2_providers", Global, List, Is(""),
        "Enabled OAuth 2.0 slots, in the order of their buttons.");
    SECRET_KEY = SettingSpec::new("security.secret_key", Global, Secret, Required,
        "At least 32 random bytes in base64 or hex; seals cookies and stored keys.");
    SECRET_KEY_PREVIOUS = SettingSpec::new("security.secret_key_previous", Global, Secrets, Is(""),
        "Older secret keys, which open what they sealed.");
    SSO_ACCOUNT_NAME_FALLBACK = SettingSpec::new("security.sso_account_name_fallback",
        Global, Flag, Is("true"),
        "Deprecated: whether a first login may adopt a local account with exactly the same name.");
    RESERVED_NAMES = SettingSpec::new("security.reserved_names",
        Global, List, Is("admin, administrator, root, system"),
        "Names that a login never assigns to an account and never adopts; ASCII case is ignored.");
    PRIVILEGED_ROLES = SettingSpec::new("security.privileged_roles", Global, List, Is("admin"),
        "Roles whose accounts are never adopted by name.");
    ROLES = SettingSpec::new("security.roles", Global, Lists, Is(""),
        "Application roles, each with the groups that grant it, such as `staff`, or `oidc/provider1:ops` for \
         a group of one slot; ASCII case is ignored.");
    DEFAULT_ROLE = SettingSpec::new("security.default_role", Global, Text, Unset("none"),
        "The role of a user whose groups grant no role.");
    SSO_USER_DEFAULT_GROUP = SettingSpec::new("security.sso_user_default_group", Global, Text, Unset("none"),
        "The group granted at a first login without groups from the provider.");
    SIGNING_ALG = SettingSpec::new("security.signing_alg",
        Global, Choice(&["ES256", "EdDSA", "RS256"]), Is("ES256"),
        "The signature algorithm of access tokens.");
    TOKEN_AUDIENCE = SettingSpec::new("security.token_audience", Global, List, Unset("the public URL"),
        "The audiences of access tokens.");
    ACCESS_TOKEN_LIFETIME = SettingSpec::new("security.access_token_lifetime",
        Global, Seconds(1..=TEN_YEARS), Is("15m"),
        "Lifetime of an access token.");
    REFRESH_TOKEN_LIFETIME = SettingSpec::new("security.refresh_token_lifetime",
        Global, Seconds(1..=TEN_YEARS), Is("30d"),
        "Maximum lifetime of a session.");
    SESSION_IDLE_TIMEOUT = SettingSpec::new("security.session_idle_timeout",
        Global, Seconds(1..=TEN_YEARS), Is("7d"),
        "Lifetime of a session without a refresh.");
    POST_LOGOUT_REDIRECT_URL = SettingSpec::new("security.post_logout_redirect_url",
        Global, Text, Unset("none"),
        "Where the provider redirects the browser after its own logout: an https URL, or a path on the \
         public origin.");

    SERVER_LISTEN = SettingSpec::new("server.listen", Global, Text, Is("127.0.0.1:8080"),
        "IP address and port of the public listener.");
    SERVER_ADMIN_LISTEN = SettingSpec::new("server.admin_listen", Global, Text, Is("127.0.0.1:9090"),
        "IP address and port of the operator's listener.");
    ERROR_URL = SettingSpec::new("server.error_url", Global, Text, Unset("Portico's own error page"),
        "Page that receives failed browser logins as `?error=<code>&request_id=<id>`: an https URL, or a \
         path on the public origin.");
    TRUSTED_PROXIES = SettingSpec::new("server.trusted_proxies", Global, List, Is(""),
        "Networks whose `X-Forwarded-For` is trusted, for logs and rate limits only.");
    CORS_ORIGINS = SettingSpec::new("server.cors_origins", Global, List, Is(""),
        "Exact origins of frontends on other hosts.");
    RETURN_ORIGINS = SettingSpec::new("server.return_origins", Global, List, Is(""),
        "Further origins that `return_to` may name.");
    RATE_LIMIT = SettingSpec::new("server.rate_limit", Global, Number(0..=1_000_000), Is("120"),
        "Requests per minute and client address to each of login start, callback, refresh and token; 0 is \
         no limit.");

    STORAGE_URL = SettingSpec::new("storage.url", Global, StorageUrl, Is("sqlite://portico.db"),
        "The database: `sqlite://…` or `postgres://…`; if unset, the variable `DATABASE_URL`.");
    AUTO_MIGRATE = SettingSpec::new("storage.auto_migrate", Global, Flag, Is("true"),
        "Whether the service and the commands migrate the database to their schema.");
    AUDIT_RETENTION = SettingSpec::new("audit.retention", Global, Seconds(0..=10 * TEN_YEARS), Is("365d"),
        "How long audit events are stored; 0 is without limit.");
    LOG_FORMAT = SettingSpec::new("log.format",
        Global, Choice(&["json", "text"]), Unset("json; text on a terminal"),
        "Format of log lines.");
    LOG_LEVEL = SettingSpec::new("log.level", Global, Text, Is("info"),
        "A level (error, warn, info, debug, trace, off), or directives such as `info,portico_oidc=debug`.");
}

table! { SLOT:
    CLIENT_ID = SettingSpec::new("client_id", EverySlot, Text, Required,
        "Client id of Portico at the provider.");
    CLIENT_SECRET = SettingSpec::new("client_secret", EverySlot, Secret, Unset("none (a public client)"),
        "Client secret of Portico at the provider.").google(Required);
    CLIENT_SECRET_NEXT = SettingSpec::new("client_secret_next", EverySlot, Secret, Unset("none"),
        "Tried if the provider answers `invalid_client` to the first secret, which allows rotation without \
         an outage.");
    DISCOVERY_URL = SettingSpec::new("discovery_url", OidcSlots, Url, Required,
        "The discovery document, with or without the suffix `/.well-known/openid-configuration`.")
        .google(Is("https://accounts.google.com/.well-known/openid-configuration"));
    AUTHORIZATION_URL = SettingSpec::new("authorization_url", OAuth2Slots, Url, Required,
        "The authorization endpoint.").google(Is("https://accounts.google.com/o/oauth2/v2/auth"));
    TOKEN_URL = SettingSpec::new("token_url", OAuth2Slots, Url, Required,
        "The token endpoint.").google(Is("https://oauth2.googleapis.com/token"));
    USERINFO_URL = SettingSpec::new("userinfo_url", OAuth2Slots, Url, Required,
        "The userinfo endpoint.").google(Is("https://openidconnect.googleapis.com/v1/userinfo"));
    USERINFO_OVERRIDE = SettingSpec::new("userinfo_url", OidcSlots, Url, Unset("from discovery"),
        "Overrides the userinfo endpoint of the discovery document.");
    DISPLAY_LABEL = SettingSpec::new("display_label", EverySlot, Text, Is("Single Sign on"),
        "Text of the login button.").google(Is("Google"));
    ICON = SettingSpec::new("icon", EverySlot, Text, Is("mdi:account-key"),
        "Material Design icon of the login button.").google(Is("mdi:google"));

    ISSUER = SettingSpec::new("issuer", EverySlot, Text, Unset("from discovery; OAuth 2.0: none"),
        "The expected issuer, compared byte for byte; in OAuth 2.0 only for the check of RFC 9207.")
        .google(Is(GOOGLE_ISSUER));
    ISSUER_ALIASES = SettingSpec::new("issuer_aliases", OidcSlots, List, Is(""),
        "Further accepted issuers; needs `issuer`, under which accounts are stored.")
        .google(Is("accounts.google.com"));
    IDENTITY_NAMESPACE = SettingSpec::new("identity_namespace", OAuth2Slots, Text,
        Unset("the token URL without its query"),
        "Replaces the issuer in the identity key.");
    ALLOWED_ALGS = SettingSpec::new("allowed_algs", OidcSlots, List,
    Unset("the safe algorithms of the discovery document"),
        "Signature algorithms of ID tokens: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA.");
    ID_TOKEN_VERIFY_SIGNATURE = SettingSpec::new("id_token_verify_signature", OidcSlots, Flag, Is("true"),
        "Whether signature, algorithm, audience and issuer of ID tokens are checked; `false` is for \
         development.");
    NONCE_MODE = SettingSpec::new("nonce_mode",
        OidcSlots, Choice(&["required", "if_present", "never"]), Is("required"),
        "Whether the ID token must contain the nonce, may omit it, or no nonce is sent.");
    PKCE_ENABLED = SettingSpec::new("pkce_enabled", EverySlot, Flag, Is("true"),
        "Whether every login uses PKCE (S256).");
    CLOCK_SKEW = SettingSpec::new("clock_skew", EverySlot, Seconds(0..=300), Is("60s"),
        "Tolerated difference to the clock of the provider, at most 300 seconds.");

    TOKEN_ENDPOINT_AUTH_METHOD = SettingSpec::new("token_endpoint_auth_method", EverySlot,
        Choice(&["auto", "client_secret_basic", "client_secret_post", "private_key_jwt", "none"]), Is("auto"),
        "How Portico authenticates at the token endpoint; `auto` is `none` without a secret, otherwise a \
         method that discovery allows, basic preferred.");
    CLIENT_KEY = SettingSpec::new("client_key", EverySlot, Secret, Unset("none"),
        "Private key of `private_key_jwt`, PKCS#8 in PEM.");
    CLIENT_KEY_ID = SettingSpec::new("client_key_id", EverySlot, Text, Unset("none"),
        "The `kid` of `client_key`.");
    CLIENT_CERTIFICATE = SettingSpec::new("client_certificate", EverySlot, Secret, Unset("none"),
        "The certificate of `client_key` in PEM, for `x5t#S256`.");

    SCOPES = SettingSpec::new("scopes", EverySlot, Words, Is("openid profile email"),
        "The requested scopes.");
    AUDIENCE = SettingSpec::new("audience", EverySlot, Text, Unset("none"),
        "Sent as `audience` on the authorization request.");
    EXTRA_AUTHORIZATION_PARAMS = SettingSpec::new("extra_authorization_params", EverySlot, Pairs, Is(""),
        "Further parameters of the authorization request, such as `prompt`, except those that Portico sets.");
    RESPONSE_MODE = SettingSpec::new("response_mode", EverySlot, Choice(&["query", "form_post"]), Is("query"),
        "How the provider sends the authorization response.");

    USERINFO = SettingSpec::new("userinfo",
        OidcSlots, Choice(&["always", "if_needed", "never"]), Is("if_needed"),
        "Whether userinfo is requested at each login, if a configured claim is missing from the ID token, \
         or never.");
    USERINFO_METHOD = SettingSpec::new("userinfo_method", EverySlot, Choice(&["get", "post"]), Is("get"),
        "The HTTP method of the userinfo request.");
    SUBJECT_CLAIM = SettingSpec::new("subject_claim", EverySlot, Text, Is("sub"),
        "The claim that identifies a user: a name, or a JSON Pointer if it starts with `/`.");
    NAME_CLAIM = SettingSpec::new("name_claim", EverySlot, List, Is("name"),
        "The claim with the name; the first of several that is not empty.");
    EMAIL_CLAIM = SettingSpec::new("email_claim", EverySlot, List, Is("email"),
        "The claim with the e-mail address; the first of several that is not empty.");
    EMAIL_VERIFIED_CLAIM = SettingSpec::new("email_verified_claim", EverySlot, Text, Is("email_verified"),
        "The claim that marks the address as verified: only `true` and `\"true\"` count.");
    GROUPS_CLAIM = SettingSpec::new("groups_claim", EverySlot, Text, Is("groups"),
        "The claim with the groups: a literal name, or a JSON Pointer if it starts with `/`.");
    GROUPS_SEPARATOR = SettingSpec::new("groups_separator",
        EverySlot, Choice(&["none", "comma", "space"]), Is("none"),
        "The separator of groups in a single string.");
    FETCH_GROUPS = SettingSpec::new("fetch_groups", GoogleSlots, Flag, Is("false"),
        "Whether groups are requested from Google Cloud Identity.");
    CLOUDIDENTITY_URL = SettingSpec::new("cloudidentity_url", GoogleSlots, Url,
        Is("https://cloudidentity.googleapis.com/v1/groups/-/memberships:searchTransitiveGroups"),
        "The endpoint of this group lookup.");
    EMAILS_URL = SettingSpec::new("emails_url", OAuth2Slots, Url, Unset("none"),
        "A second request for the primary verified e-mail address, in GitHub's format.");

    ALLOWED_GROUPS = SettingSpec::new("allowed_groups", EverySlot, List, Is(""),
        "Admits only users in one of these groups; exact bytes.");
    ALLOWED_EMAIL_DOMAINS = SettingSpec::new("allowed_email_domains", EverySlot, List, Is(""),
        "Admits only users with a verified e-mail address in one of these domains.");
    ALLOWED_SUBJECTS = SettingSpec::new("allowed_subjects", EverySlot, List, Is(""),
        "Admits only users with one of these subjects.");
    ALLOWED_TENANTS = SettingSpec::new("allowed_tenants", EverySlot, List, Is(""),
        "Admits only users of one of these tenants (Entra `tid`, Google `hd`); needs signed ID tokens.");
    ACCOUNT_NAME_FALLBACK = SettingSpec::new("account_name_fallback", EverySlot, Flag,
        Unset("as security.sso_account_name_fallback"),
        "Deprecated: `false` disables the name fallback for this slot.");

    CA_BUNDLE = SettingSpec::new("ca_bundle", EverySlot, Text, Unset("the system's"),
        "Path of a PEM file with further certificate authorities.");
    ALLOW_INSECURE_HTTP = SettingSpec::new("allow_insecure_http", EverySlot, Flag, Is("false"),
        "Whether plain http is allowed on hosts other than loopback.");
}

/// The issuer of Google.
pub(super) const GOOGLE_ISSUER: &str = "https://accounts.google.com";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_as_documented() {
        let paths: BTreeSet<_> = Setting::all().map(|setting| setting.path()).collect();
        let variables: BTreeSet<_> = Setting::all().map(|setting| setting.variable()).collect();
        assert_eq!(paths.len(), Setting::all().count());
        assert_eq!(variables.len(), Setting::all().count());
        for variable in [
            "PUBLIC_URL",
            "SECURITY_OIDC_PROVIDERS",
            "SECURITY_SSO_ACCOUNT_NAME_FALLBACK",
            "SECURITY_SECRET_KEY",
            "SERVER_ADMIN_LISTEN",
            "STORAGE_AUTO_MIGRATE",
            "AUDIT_RETENTION",
            "LOG_LEVEL",
            "OIDC_PROVIDER1_ID_TOKEN_VERIFY_SIGNATURE",
            "OAUTH2_GOOGLE_FETCH_GROUPS",
        ] {
            assert!(variables.contains(variable), "{variable}");
        }
        assert!(paths.contains("main.public_url"));
        assert!(paths.contains("security.oauth2_provider_settings.provider2.token_url"));
        assert!(!variables.contains("OAUTH2_PROVIDER1_DISCOVERY_URL"));
        assert!(!variables.contains("OIDC_PROVIDER1_FETCH_GROUPS"));
        // A variable that ends in `_FILE` always names a file.
        assert!(variables.iter().all(|variable| !variable.ends_with("_FILE")));
    }
}
