//! The settings of one enabled slot as the `Slot` of the flow.

use std::collections::BTreeMap;
use std::sync::Arc;

use portico_core::admission::AccessRule;
use portico_core::claims::{ClaimMap, ClaimPath, GroupsSeparator};
use portico_core::provider::issuer::is_tenant_id;
use portico_core::provider::{
    Button, Issuer, NonceMode, OAuth2Settings, OidcSettings, Pkce, ProviderKind, ResponseMode,
    SignatureCheck, SigningAlg, Slot, Transport, UserinfoMethod, UserinfoUse,
};
use portico_core::public_url::is_exact_loopback;
use portico_core::slot::{Protocol, SlotId, SlotName};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::Url;

use super::client_auth::client_auth;
use super::reader::Reader;
use super::table::{self, SettingSpec};

/// The global settings that affect every slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared {
    /// Whether the name fallback is enabled globally.
    pub(super) name_fallback: bool,
    /// Whether groups are mapped to roles.
    pub(super) roles_from_groups: bool,
}

const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// Parameters of the authorization request that Portico sets itself, or that replace all others (RFC 9101).
const RESERVED_PARAMS: [&str; 12] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "audience",
    "response_mode",
    "request",
    "request_uri",
];

/// The scope for the group lookup at Google Cloud Identity.
const GROUPS_SCOPE: &str = "https://www.googleapis.com/auth/cloud-identity.groups.readonly";

/// First path segments of Entra ID URLs that mean more than one tenant.
const ALL_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];

/// The slot, or `None` after a noted mistake.
pub(super) fn slot(read: &mut Reader<'_>, id: SlotId, shared: Shared) -> Option<Slot> {
    let transport = transport(read);
    let http = transport.as_ref().is_some_and(|transport| transport.allow_insecure_http);
    let kind = match id.protocol {
        Protocol::Oidc => oidc(read, http).map(ProviderKind::Oidc),
        Protocol::OAuth2 => oauth2(read, http).map(ProviderKind::OAuth2),
    };
    let verified = match &kind {
        Some(ProviderKind::Oidc(oidc)) => oidc.signature == SignatureCheck::Verify,
        Some(ProviderKind::OAuth2(_)) | None => true,
    };
    let (client_id, auth) = (read.text(&table::CLIENT_ID), client_auth(read));
    let (button, claims, access) = (button(read), claims(read, shared), access(read, kind.as_ref()));
    let pkce = read.flag(&table::PKCE_ENABLED);
    let (scopes, groups_url) = (scopes(read), groups_url(read, id, http));
    let modes = [("query", ResponseMode::Query), ("form_post", ResponseMode::FormPost)];
    let response_mode = read.choice(&table::RESPONSE_MODE, &modes);
    let extra_params = extra_params(read);
    let methods = [("get", UserinfoMethod::Get), ("post", UserinfoMethod::Post)];
    let userinfo_method = read.choice(&table::USERINFO_METHOD, &methods);
    let clock_skew = read.duration(&table::CLOCK_SKEW);
    let own_fallback = read.flag(&table::ACCOUNT_NAME_FALLBACK).unwrap_or(true);
    Some(Slot {
        name: id.name,
        button: button?,
        client_id: client_id?,
        auth: auth?,
        pkce: if pkce? { Pkce::S256 } else { Pkce::OffByOperator },
        scopes: scopes?,
        audience: read.text(&table::AUDIENCE),
        extra_params: extra_params?,
        claims: claims?,
        access: access?,
        response_mode: response_mode?,
        userinfo_method: userinfo_method?,
        groups_url,
        clock_skew: clock_skew?,
        transport: transport?,
        // The name in an unverified token must not adopt an account.
        name_fallback: shared.name_fallback && own_fallback && verified,
        kind: kind?,
    })
}

fn button(read: &mut Reader<'_>) -> Option<Button> {
    let label = read.text(&table::DISPLAY_LABEL);
    let icon = read.parse(&table::ICON, |icon| {
        let part = |part: &str| {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !part.is_empty() && part.chars().all(fits)
        };
        let fits = icon.split_once(':').is_some_and(|(set, name)| part(set) && part(name));
        if fits {
            Ok(icon.to_owned())
        } else {
            Err("must look like mdi:account-key: lower case, digits, hyphens, one colon")
        }
    });
    Some(Button { label: label?, icon: icon? })
}

fn claims(read: &mut Reader<'_>, shared: Shared) -> Option<ClaimMap> {
    let subject = read.parse(&table::SUBJECT_CLAIM, |text| {
        if text.contains(',') || text.starts_with('[') {
            Err("must be one claim, not a list")
        } else {
            claim(text)
        }
    });
    let name = read.parse_each(&table::NAME_CLAIM, claim);
    let email = read.parse_each(&table::EMAIL_CLAIM, claim);
    let email_verified = read.parse(&table::EMAIL_VERIFIED_CLAIM, claim);
    let groups = read.parse(&table::GROUPS_CLAIM, claim);
    let allowed_groups = read.list(&table::ALLOWED_GROUPS)?;
    let separators = [
        ("none", GroupsSeparator::None),
        ("comma", GroupsSeparator::Comma),
        ("space", GroupsSeparator::Space),
    ];
    let groups_separator = read.choice(&table::GROUPS_SEPARATOR, &separators);
    Some(ClaimMap {
        subject: subject?,
        name: name?,
        email: email?,
        email_verified: email_verified?,
        groups: groups?,
        groups_separator: groups_separator?,
        groups_wanted: read.is_set(&table::GROUPS_CLAIM)
            || !allowed_groups.is_empty()
            || shared.roles_from_groups,
    })
}

fn access(read: &mut Reader<'_>, kind: Option<&ProviderKind>) -> Option<AccessRule> {
    let rule = AccessRule {
        groups: read.list(&table::ALLOWED_GROUPS)?.to_vec(),
        email_domains: read.parse_each(&table::ALLOWED_EMAIL_DOMAINS, domain)?,
        subjects: read.list(&table::ALLOWED_SUBJECTS)?.to_vec(),
        tenants: read.list(&table::ALLOWED_TENANTS)?.to_vec(),
    };
    // Section 4 of the contract: the tenant comes only from a signed ID token.
    let without_proof = match kind {
        Some(ProviderKind::OAuth2(_)) => {
            Some("needs an ID token, which OAuth 2.0 does not have; use an oidc slot")
        }
        Some(ProviderKind::Oidc(oidc)) if oidc.signature == SignatureCheck::SkippedByOperator => {
            Some("needs signed ID tokens; leave id_token_verify_signature true")
        }
        Some(ProviderKind::Oidc(_)) | None => None,
    };
    if let Some(message) = without_proof.filter(|_| !rule.tenants.is_empty()) {
        read.wrong(&table::ALLOWED_TENANTS, message);
    }
    Some(rule)
}

/// The domain of an e-mail address.
fn domain(text: &str) -> Result<String, &'static str> {
    if text.contains(|c: char| c == '@' || c == '*' || c.is_whitespace()) || text.starts_with('.') {
        return Err("must have whole domains such as example.com, without @ or *; list each subdomain");
    }
    Ok(text.to_owned())
}

/// A claim name, or a JSON Pointer (RFC 6901 3: each `~` is `~0` or `~1`).
fn claim(text: &str) -> Result<ClaimPath, &'static str> {
    let escaped = |rest: &str| rest.starts_with(['0', '1']);
    match ClaimPath::parse(text) {
        Some(ClaimPath::Pointer(pointer)) if !pointer.split('~').skip(1).all(escaped) => {
            Err("is not a JSON Pointer: write ~ as ~0")
        }
        Some(path) => Ok(path),
        None => Err("has an empty claim name"),
    }
}

/// The requested scopes. The group lookup at Google adds its own.
fn scopes(read: &mut Reader<'_>) -> Option<Vec<String>> {
    let mut scopes = read.parse_each(&table::SCOPES, scope)?;
    if read.flag(&table::FETCH_GROUPS) == Some(true) && !scopes.iter().any(|scope| scope == GROUPS_SCOPE) {
        scopes.push(GROUPS_SCOPE.to_owned());
    }
    Some(scopes)
}

/// The endpoint of the group lookup, if it is enabled on a google slot.
fn groups_url(read: &mut Reader<'_>, id: SlotId, allow_http: bool) -> Option<Url> {
    if id.name != SlotName::Google || read.flag(&table::FETCH_GROUPS) != Some(true) {
        return None;
    }
    endpoint(read, &table::CLOUDIDENTITY_URL, allow_http)
}

/// A scope token (RFC 6749 3.3).
fn scope(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if text.bytes().all(fits) { Ok(text.to_owned()) } else { Err("has a scope with invalid characters") }
}

fn extra_params(read: &mut Reader<'_>) -> Option<BTreeMap<String, String>> {
    let params = read.pairs(&table::EXTRA_AUTHORIZATION_PARAMS)?;
    let reserved = |name: &str| RESERVED_PARAMS.iter().find(|reserved| reserved.eq_ignore_ascii_case(name));
    let message = match params.keys().find_map(|name| reserved(name)) {
        Some(&("audience" | "response_mode")) => {
            "has audience or response_mode; use the settings of that name".to_owned()
        }
        Some(name) => format!("has {name}, which Portico sets itself"),
        None if params.contains_key("") => "has a parameter without a name".to_owned(),
        None => return Some(params.clone()),
    };
    read.wrong(&table::EXTRA_AUTHORIZATION_PARAMS, message);
    None
}

fn transport(read: &mut Reader<'_>) -> Option<Transport> {
    let allow_insecure_http = read.flag(&table::ALLOW_INSECURE_HTTP);
    let set = read.is_set(&table::CA_BUNDLE);
    let roots = read.parse(&table::CA_BUNDLE, |path| {
        let pem = std::fs::read(path).map_err(|error| format!("the file {path} cannot be read: {error}"))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(Arc::from(pem)),
            Ok(_) | Err(_) => Err(format!("the file {path} contains no certificates in PEM")),
        }
    });
    if set && roots.is_none() {
        return None;
    }
    Some(Transport { extra_roots: roots, allow_insecure_http: allow_insecure_http? })
}

/// An endpoint. It needs TLS (RFC 6749 3.1, 3.2; OIDC Discovery 4), except on loopback or with
/// `allow_insecure_http`.
fn endpoint(read: &mut Reader<'_>, spec: &'static SettingSpec, allow_http: bool) -> Option<Url> {
    let url = read.url(spec)?;
    if url.scheme() == "https" || allow_http || is_exact_loopback(&url) {
        return Some(url);
    }
    read.wrong(
        spec,
        "must begin with https://; http needs localhost, 127.0.0.1, [::1], or allow_insecure_http",
    );
    None
}

fn oidc(read: &mut Reader<'_>, allow_http: bool) -> Option<OidcSettings> {
    let discovery_url = endpoint(read, &table::DISCOVERY_URL, allow_http);
    let issuer = read.text(&table::ISSUER).map(Issuer::new);
    if discovery_url.as_ref().is_some_and(is_multi_tenant) {
        check_tenants(read, &table::DISCOVERY_URL);
    } else if issuer.as_ref().is_some_and(Issuer::is_template) {
        check_tenants(read, &table::ISSUER);
    }
    let issuer_aliases = issuer_aliases(read, issuer.as_ref());
    let signature = read.flag(&table::ID_TOKEN_VERIFY_SIGNATURE);
    let modes = [
        ("required", NonceMode::Required),
        ("if_present", NonceMode::IfPresent),
        ("never", NonceMode::Never),
    ];
    let nonce = read.choice(&table::NONCE_MODE, &modes);
    let uses = [
        ("always", UserinfoUse::Always),
        ("if_needed", UserinfoUse::IfNeeded),
        ("never", UserinfoUse::Never),
    ];
    let userinfo = read.choice(&table::USERINFO, &uses);
    let userinfo_url = endpoint(read, &table::USERINFO_OVERRIDE, allow_http);
    let allowed_algs = read.parse_each(&table::ALLOWED_ALGS, |name| {
        let known = SigningAlg::ALL.map(SigningAlg::as_str).join(", ");
        SigningAlg::parse(name).ok_or_else(|| format!("may only have {known}"))
    });
    Some(OidcSettings {
        discovery_url: document_url(discovery_url?),
        issuer,
        issuer_aliases,
        signature: if signature? { SignatureCheck::Verify } else { SignatureCheck::SkippedByOperator },
        allowed_algs: allowed_algs.filter(|algs| !algs.is_empty()),
        nonce: nonce?,
        userinfo: userinfo?,
        userinfo_url,
    })
}

/// The URL of the discovery document. A missing well-known path is added (OIDC Discovery 4).
fn document_url(mut url: Url) -> Url {
    if !url.path().contains("/.well-known/") && !url.path().ends_with("/openid-configuration") {
        let path = format!("{}{WELL_KNOWN}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    url
}

/// Whether a URL is an Entra ID endpoint for more than one tenant, on any host.
fn is_multi_tenant(url: &Url) -> bool {
    let mut segments = url.path_segments().into_iter().flatten();
    let (first, second) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let entra = url.host_str().is_some_and(|host| host.contains(".microsoftonline.")) || second == "v2.0";
    entra && ALL_TENANTS.iter().any(|name| name.eq_ignore_ascii_case(first))
}

/// Section 4 of the contract: a multi-tenant provider needs a list of admitted tenants.
fn check_tenants(read: &mut Reader<'_>, spec: &'static SettingSpec) {
    let tenants = read.list(&table::ALLOWED_TENANTS).unwrap_or_default();
    if tenants.is_empty() {
        read.wrong(spec, "means many tenants; list the admitted ones in allowed_tenants, or name one tenant");
    } else if !tenants.iter().all(|tenant| is_tenant_id(tenant)) {
        let message = "must have tenant ids in the form of Entra ID: GUIDs in lower case";
        read.wrong(&table::ALLOWED_TENANTS, message);
    }
}

fn issuer_aliases(read: &mut Reader<'_>, issuer: Option<&Issuer>) -> Vec<Issuer> {
    let set = read.is_set(&table::ISSUER_ALIASES);
    let aliases = read.list(&table::ISSUER_ALIASES).unwrap_or_default();
    // The default alias is valid only for the issuer of Google.
    if !set && issuer.is_none_or(|issuer| issuer.as_str() != table::GOOGLE_ISSUER) {
        return Vec::new();
    }
    if !aliases.is_empty() && issuer.is_none() {
        read.wrong(&table::ISSUER_ALIASES, "needs issuer, under which accounts are stored; set issuer too");
    }
    aliases.iter().map(Issuer::new).collect()
}

fn oauth2(read: &mut Reader<'_>, allow_http: bool) -> Option<OAuth2Settings> {
    let authorization_url = endpoint(read, &table::AUTHORIZATION_URL, allow_http);
    let token_url = endpoint(read, &table::TOKEN_URL, allow_http);
    let userinfo_url = endpoint(read, &table::USERINFO_URL, allow_http);
    let emails_url = endpoint(read, &table::EMAILS_URL, allow_http);
    let issuer = read.text(&table::ISSUER).map(Issuer::new);
    if issuer.as_ref().is_some_and(Issuer::is_template) {
        read.wrong(&table::ISSUER, "means many tenants, which needs an oidc slot; name one tenant in it");
    }
    let namespace = read.text(&table::IDENTITY_NAMESPACE);
    let without_query = token_url.clone().map(|mut url| {
        url.set_query(None);
        url.into()
    });
    Some(OAuth2Settings {
        authorization_url: authorization_url?,
        token_url: token_url?,
        userinfo_url: userinfo_url?,
        emails_url,
        issuer,
        identity_namespace: namespace.or(without_query)?,
    })
}
