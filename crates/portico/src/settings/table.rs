//! The one table of settings: which there are, where they stand, what they are when nobody sets them.
//!
//! Variables, TOML paths, hints, `portico config` and the documents are all read from here. It knows no values.

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
    /// TOML path; for a slot's setting its last part.
    pub(super) path: &'static str,
    pub(super) scope: Scope,
    pub(super) kind: SettingKind,
    /// What holds when nobody sets it.
    pub(super) default_value: DefaultValue,
    /// The same for the google slots, where it differs.
    pub(super) google: Option<DefaultValue>,
    /// One sentence for the documents.
    pub(super) about: &'static str,
}

/// Where a setting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Global,
    EverySlot,
    OidcSlots,
    OAuth2Slots,
    GoogleSlots,
}

/// What a setting's value looks like.
#[derive(Debug, Clone)]
pub(super) enum SettingKind {
    Text,
    /// Never shown.
    Secret,
    /// A list, never shown.
    Secrets,
    /// Shown without its password.
    StorageUrl,
    /// An http or https address.
    Url,
    /// One of these words.
    Choice(&'static [&'static str]),
    Flag,
    List,
    /// A list that may also be separated by blanks.
    Words,
    /// A table of names and texts.
    Pairs,
    /// A table of names and lists.
    Lists,
    /// A duration, in seconds.
    Seconds(RangeInclusive<u64>),
    Number(RangeInclusive<u64>),
}

/// What holds when nobody sets a setting.
#[derive(Debug, Clone, Copy)]
pub(super) enum DefaultValue {
    /// Nothing: it must be set.
    Required,
    /// This value, as it would stand in a variable.
    Is(&'static str),
    /// No value of its own; in words, what that means.
    Unset(&'static str),
}

/// One setting at its place.
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

    /// Whether a slot has this setting; a global setting belongs to none.
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
    /// Every setting of Portico.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let global = GLOBAL.iter().copied().map(|spec| Self { spec, slot: None });
        global.chain(SlotId::all().flat_map(Self::all_of))
    }

    /// Every setting of one slot.
    pub(super) fn all_of(slot: SlotId) -> impl Iterator<Item = Self> {
        SLOT.iter()
            .copied()
            .filter(move |spec| spec.is_of(slot))
            .map(move |spec| Self { spec, slot: Some(slot) })
    }

    /// The whole TOML path, which also identifies the setting.
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

    /// What holds when nobody sets it.
    pub(super) fn default_value(&self) -> DefaultValue {
        match (self.slot, self.spec.google) {
            (Some(SlotId { name: SlotName::Google, .. }), Some(google)) => google,
            _ => self.spec.default_value,
        }
    }
}

/// A standard variable, never prefixed and without a TOML path: the store, when `storage.url` is not set.
pub(super) const DATABASE_URL: &str = "DATABASE_URL";

/// Another one: where traces go.
pub(super) const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Ten years, in seconds. Sessions that are to last longer are mistakes.
const TEN_YEARS: u64 = 3650 * 86400;

macro_rules! table {
    ($all:ident: $($name:ident = $spec:expr;)*) => {
        $(pub(super) static $name: SettingSpec = $spec;)*
        pub(super) static $all: &[&SettingSpec] = &[$(&$name),*];
    };
}

table! { GLOBAL:
    PUBLIC_URL = SettingSpec::new("main.public_url", Global, Text, Required,
        "The external address, optionally with a path; redirect URIs, issuer and cookies derive from it \
         alone.");

    OIDC_PROVIDERS = SettingSpec::new("security.oidc_providers", Global, List, Is(""),
        "Enabled OpenID Connect slots, in the order of their buttons.");
    OAUTH2_PROVIDERS = SettingSpec::new("security.oauth2_providers", Global, List, Is(""),
        "Enabled OAuth 2.0 slots, in the order of their buttons.");
    SECRET_KEY = SettingSpec::new("security.secret_key", Global, Secret, Required,
        "At least 32 random bytes in base64 or hex; seals cookies and stored keys.");
    SECRET_KEY_PREVIOUS = SettingSpec::new("security.secret_key_previous", Global, Secrets, Is(""),
        "Older secret keys, which still open what they sealed.");
    SSO_ACCOUNT_NAME_FALLBACK = SettingSpec::new("security.sso_account_name_fallback", Global, Flag, Is("true"),
        "Deprecated: whether a first login may adopt a local account of exactly that name.");
    RESERVED_NAMES = SettingSpec::new("security.reserved_names", Global, List, Is("admin, administrator, root, system"),
        "Names that no login gives to an account and that are never adopted; ASCII case is ignored.");
    PRIVILEGED_ROLES = SettingSpec::new("security.privileged_roles", Global, List, Is("admin"),
        "Roles whose accounts are never adopted by name.");
    ROLES = SettingSpec::new("security.roles", Global, Lists, Is(""),
        "Roles of the application, each with the groups that give it, such as `staff`, or `oidc/provider1:ops` for \
         a group of one slot only; ASCII case is ignored.");
    DEFAULT_ROLE = SettingSpec::new("security.default_role", Global, Text, Unset("none"),
        "The role of a person to whom no group gives one.");
    SSO_USER_DEFAULT_GROUP = SettingSpec::new("security.sso_user_default_group", Global, Text, Unset("none"),
        "The group granted at the first login when the provider sent no groups.");
    SIGNING_ALG = SettingSpec::new("security.signing_alg", Global, Choice(&["ES256", "EdDSA", "RS256"]), Is("ES256"),
        "The signature algorithm of access tokens.");
    TOKEN_AUDIENCE = SettingSpec::new("security.token_audience", Global, List, Unset("the public URL"),
        "The audiences of access tokens: a list.");
    ACCESS_TOKEN_LIFETIME = SettingSpec::new("security.access_token_lifetime", Global, Seconds(1..=TEN_YEARS), Is("15m"),
        "How long an access token is valid.");
    REFRESH_TOKEN_LIFETIME = SettingSpec::new("security.refresh_token_lifetime", Global, Seconds(1..=TEN_YEARS), Is("30d"),
        "How long a session lasts at most.");
    SESSION_IDLE_TIMEOUT = SettingSpec::new("security.session_idle_timeout", Global, Seconds(1..=TEN_YEARS), Is("7d"),
        "How long a session lasts that nobody refreshes.");
    POST_LOGOUT_REDIRECT_URL = SettingSpec::new("security.post_logout_redirect_url", Global, Text, Unset("none"),
        "Where the provider sends the browser after its own logout: an https URL, or a path on the public \
         origin.");

    SERVER_LISTEN = SettingSpec::new("server.listen", Global, Text, Is("127.0.0.1:8080"),
        "IP address and port of the public listener.");
    SERVER_ADMIN_LISTEN = SettingSpec::new("server.admin_listen", Global, Text, Is("127.0.0.1:9090"),
        "IP address and port of the operator's listener.");
    ERROR_URL = SettingSpec::new("server.error_url", Global, Text, Unset("Portico's own error page"),
        "Page of yours that gets failed browser logins as `?error=<code>&request_id=<id>`: an https URL, \
         or a path on the public origin.");
    TRUSTED_PROXIES = SettingSpec::new("server.trusted_proxies", Global, List, Is(""),
        "Networks whose `X-Forwarded-For` is believed, for logs and rate limits only.");
    CORS_ORIGINS = SettingSpec::new("server.cors_origins", Global, List, Is(""),
        "Exact origins of frontends that live elsewhere.");
    RETURN_ORIGINS = SettingSpec::new("server.return_origins", Global, List, Is(""),
        "Further origins that `return_to` may name.");
    RATE_LIMIT = SettingSpec::new("server.rate_limit", Global, Number(0..=1_000_000), Is("120"),
        "Requests per minute and client address on each of login start, callback, refresh and token; 0 is \
         no limit.");

    STORAGE_URL = SettingSpec::new("storage.url", Global, StorageUrl, Is("sqlite://portico.db"),
        "The database: `sqlite://…` or `postgres://…`; without it, the variable `DATABASE_URL`.");
    AUTO_MIGRATE = SettingSpec::new("storage.auto_migrate", Global, Flag, Is("true"),
        "Whether the database is brought to this version's schema without being asked.");
    AUDIT_RETENTION = SettingSpec::new("audit.retention", Global, Seconds(0..=10 * TEN_YEARS), Is("365d"),
        "How long audit events are kept; 0 is for ever.");
    LOG_FORMAT = SettingSpec::new("log.format", Global, Choice(&["json", "text"]), Unset("json, on a terminal text"),
        "The form of log lines.");
    LOG_LEVEL = SettingSpec::new("log.level", Global, Text, Is("info"),
        "A level (error, warn, info, debug, trace, off), or directives such as `info,portico_oidc=debug`.");
}

table! { SLOT:
    CLIENT_ID = SettingSpec::new("client_id", EverySlot, Text, Required,
        "Portico's identifier at the provider.");
    CLIENT_SECRET = SettingSpec::new("client_secret", EverySlot, Secret, Unset("none (a public client)"),
        "Portico's secret at the provider.").google(Required);
    CLIENT_SECRET_NEXT = SettingSpec::new("client_secret_next", EverySlot, Secret, Unset("none"),
        "Tried when the provider answers `invalid_client` to the first, so that a secret changes without \
         an outage.");
    DISCOVERY_URL = SettingSpec::new("discovery_url", OidcSlots, Url, Required,
        "The discovery document, with or without `/.well-known/openid-configuration` at its end.")
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
        "The expected issuer, compared byte for byte; in OAuth 2.0 it serves the check of RFC 9207 only.")
        .google(Is(GOOGLE_ISSUER));
    ISSUER_ALIASES = SettingSpec::new("issuer_aliases", OidcSlots, List, Is(""),
        "Further accepted issuers, which need `issuer`; accounts are stored under `issuer`.")
        .google(Is("accounts.google.com"));
    IDENTITY_NAMESPACE = SettingSpec::new("identity_namespace", OAuth2Slots, Text,
        Unset("the token URL without its query"),
        "What stands for the issuer in the identity key.");
    ALLOWED_ALGS = SettingSpec::new("allowed_algs", OidcSlots, List, Unset("what discovery lists, as far as it is safe"),
        "Signature algorithms of ID tokens: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA.");
    ID_TOKEN_VERIFY_SIGNATURE = SettingSpec::new("id_token_verify_signature", OidcSlots, Flag, Is("true"),
        "Whether signature, algorithm, audience and issuer of ID tokens are checked; `false` is for \
         development.");
    NONCE_MODE = SettingSpec::new("nonce_mode", OidcSlots, Choice(&["required", "if_present", "never"]), Is("required"),
        "Whether the ID token must repeat the nonce, may leave it out, or is sent none.");
    PKCE_ENABLED = SettingSpec::new("pkce_enabled", EverySlot, Flag, Is("true"),
        "Whether PKCE (S256) is sent, which it then is always.");
    CLOCK_SKEW = SettingSpec::new("clock_skew", EverySlot, Seconds(0..=300), Is("60s"),
        "How far the provider's clock may be from ours, at most 300 seconds.");

    TOKEN_ENDPOINT_AUTH_METHOD = SettingSpec::new("token_endpoint_auth_method", EverySlot,
        Choice(&["auto", "client_secret_basic", "client_secret_post", "private_key_jwt", "none"]), Is("auto"),
        "How Portico proves who it is; `auto` is `none` without a secret, otherwise what discovery allows, \
         basic preferred.");
    CLIENT_KEY = SettingSpec::new("client_key", EverySlot, Secret, Unset("none"),
        "Private key of `private_key_jwt`, PKCS#8 in PEM.");
    CLIENT_KEY_ID = SettingSpec::new("client_key_id", EverySlot, Text, Unset("none"),
        "The `kid` of that key.");
    CLIENT_CERTIFICATE = SettingSpec::new("client_certificate", EverySlot, Secret, Unset("none"),
        "The certificate of that key in PEM, for `x5t#S256`.");

    SCOPES = SettingSpec::new("scopes", EverySlot, Words, Is("openid profile email"),
        "The scopes asked for.");
    AUDIENCE = SettingSpec::new("audience", EverySlot, Text, Unset("none"),
        "Sent as `audience` on the authorization request.");
    EXTRA_AUTHORIZATION_PARAMS = SettingSpec::new("extra_authorization_params", EverySlot, Pairs, Is(""),
        "Further parameters of the authorization request, such as `prompt`; not those that Portico sets \
         itself.");
    RESPONSE_MODE = SettingSpec::new("response_mode", EverySlot, Choice(&["query", "form_post"]), Is("query"),
        "How the provider sends its answer.");

    USERINFO = SettingSpec::new("userinfo", OidcSlots, Choice(&["always", "if_needed", "never"]), Is("if_needed"),
        "Whether userinfo is read at each login, when a configured claim is missing from the ID token, or \
         not at all.");
    USERINFO_METHOD = SettingSpec::new("userinfo_method", EverySlot, Choice(&["get", "post"]), Is("get"),
        "The HTTP method of the userinfo request.");
    SUBJECT_CLAIM = SettingSpec::new("subject_claim", EverySlot, Text, Is("sub"),
        "The claim that identifies a person: a name, or a JSON Pointer when it begins with `/`.");
    NAME_CLAIM = SettingSpec::new("name_claim", EverySlot, List, Is("name"),
        "The claim with the name; of several the first that is not empty.");
    EMAIL_CLAIM = SettingSpec::new("email_claim", EverySlot, List, Is("email"),
        "The claim with the e-mail address; of several the first that is not empty.");
    EMAIL_VERIFIED_CLAIM = SettingSpec::new("email_verified_claim", EverySlot, Text, Is("email_verified"),
        "The claim that says whether the address is verified: only `true` and `\"true\"` do.");
    GROUPS_CLAIM = SettingSpec::new("groups_claim", EverySlot, Text, Is("groups"),
        "The claim with the groups: a name taken literally, or a JSON Pointer when it begins with `/`.");
    GROUPS_SEPARATOR = SettingSpec::new("groups_separator", EverySlot, Choice(&["none", "comma", "space"]), Is("none"),
        "What separates groups that come as one string.");
    FETCH_GROUPS = SettingSpec::new("fetch_groups", GoogleSlots, Flag, Is("false"),
        "Whether groups are looked up at Google Cloud Identity.");
    CLOUDIDENTITY_URL = SettingSpec::new("cloudidentity_url", GoogleSlots, Url,
        Is("https://cloudidentity.googleapis.com/v1/groups/-/memberships:searchTransitiveGroups"),
        "Where that look-up goes.");
    EMAILS_URL = SettingSpec::new("emails_url", OAuth2Slots, Url, Unset("none"),
        "A second request for the primary verified e-mail address, in GitHub's format.");

    ALLOWED_GROUPS = SettingSpec::new("allowed_groups", EverySlot, List, Is(""),
        "Only people in one of these groups; exact bytes.");
    ALLOWED_EMAIL_DOMAINS = SettingSpec::new("allowed_email_domains", EverySlot, List, Is(""),
        "Only people with an e-mail address in one of these domains that the provider calls verified.");
    ALLOWED_SUBJECTS = SettingSpec::new("allowed_subjects", EverySlot, List, Is(""),
        "Only people with one of these subjects.");
    ALLOWED_TENANTS = SettingSpec::new("allowed_tenants", EverySlot, List, Is(""),
        "Only people of one of these tenants (Entra `tid`, Google `hd`); needs signed ID tokens.");
    ACCOUNT_NAME_FALLBACK = SettingSpec::new("account_name_fallback", EverySlot, Flag,
        Unset("as security.sso_account_name_fallback"),
        "Deprecated: `false` switches the name fallback off for this slot.");

    CA_BUNDLE = SettingSpec::new("ca_bundle", EverySlot, Text, Unset("the system's"),
        "Path of a PEM file with further certificate authorities.");
    ALLOW_INSECURE_HTTP = SettingSpec::new("allow_insecure_http", EverySlot, Flag, Is("false"),
        "Whether plain http is accepted on other hosts than loopback.");
}

/// The issuer of Google's own slots.
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
