//! Questions to a provider that need no person: is it there, does it know our callback and our secret.

use std::net::IpAddr;
use std::time::Duration;

use portico_core::error::{CertificateFault, UpstreamError};
use portico_core::provider::inspection::Finding;
use portico_core::provider::{ClientAuth, ResponseMode, Slot};
use portico_core::public_url::PublicUrl;
use portico_core::text::printable;
use reqwest::header::{COOKIE, HeaderName, HeaderValue};
use reqwest::{Method, Request};
use serde_json::{Map, Value};
use tokio::time::timeout;
use url::Url;

use crate::exchange::{CodeGrant, accepts_client};
use crate::outbound::{Endpoint, Outbound};

/// How long one question may take: all of them together stay below five seconds.
pub const PATIENCE: Duration = Duration::from_millis(1500);

/// The code that no provider ever gave.
pub const NO_CODE: &str = "portico-check-no-such-code";

/// Whether the name of an address can be resolved.
pub async fn dns(url: &Url) -> Finding {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Finding::bad("dns", "the address has no host");
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = timeout(PATIENCE, tokio::net::lookup_host((bare, port))).await;
    match found.map(|found| found.map(Iterator::count)) {
        Ok(Ok(0)) => Finding::bad("dns", format!("{host} has no address")),
        Ok(Ok(_)) => Finding::ok("dns", format!("{host} is known")),
        Ok(Err(error)) => Finding::bad("dns", format!("{host} cannot be resolved: {error}")),
        Err(_) => Finding::unknown("dns", format!("the name server did not answer for {host} in time")),
    }
}

/// Fetches a JSON document, in time.
///
/// # Errors
/// As [`Outbound::document`].
pub async fn document(
    http: &Outbound,
    endpoint: Endpoint,
    url: &Url,
) -> Result<Map<String, Value>, UpstreamError> {
    let late = |_| Err(UpstreamError::Timeout { endpoint: endpoint.name() });
    timeout(PATIENCE, http.document(endpoint, url)).await.unwrap_or_else(late)
}

/// What an answer, or its absence, says of TLS.
pub fn tls<T>(url: &Url, answer: &Result<T, UpstreamError>) -> Finding {
    let (problem, certificate) = match answer {
        _ if url.scheme() != "https" => {
            return Finding::unknown("tls", "plain http; for loopback hosts and tests only");
        }
        Err(UpstreamError::Unreachable { problem, certificate, .. }) => (problem, certificate),
        Err(UpstreamError::Timeout { .. } | UpstreamError::Overloaded { .. }) => {
            return Finding::unknown("tls", "there was no answer in time");
        }
        Ok(_) | Err(_) => return Finding::ok("tls", "the certificate is valid"),
    };
    let what = match certificate {
        None => return Finding::unknown("tls", format!("there is no connection: {problem}")),
        Some(CertificateFault::Expired) => {
            "the certificate has expired: whoever runs the provider must renew it"
        }
        Some(CertificateFault::NotYetValid) => {
            "the certificate is not valid yet: is this host's clock right?"
        }
        Some(CertificateFault::UnknownIssuer) => {
            "the certificate is by an authority that is not known here: name its certificate in ca_bundle"
        }
        Some(CertificateFault::AuthorityAsServer) => {
            "the certificate is that of an authority, not one for a server: whoever runs the provider must put another there"
        }
        Some(CertificateFault::WrongName) => "the certificate is for another name: is the address right?",
        Some(CertificateFault::Other) => {
            "the certificate is not accepted; `openssl s_client -connect HOST:PORT` shows it"
        }
    };
    Finding::bad("tls", format!("{what} ({problem})"))
}

/// Asks whether anything answers at an address, whatever it says.
///
/// # Errors
/// When nothing answers in time.
pub async fn knock(http: &Outbound, endpoint: Endpoint, url: &Url) -> Result<(), UpstreamError> {
    let sent = timeout(PATIENCE, http.send(endpoint, Request::new(Method::GET, url.clone()))).await;
    sent.unwrap_or(Err(UpstreamError::Timeout { endpoint: endpoint.name() })).map(|_| ())
}

/// Whether our callback is registered: an authorization request that may ask nobody anything must come back
/// to it.
pub async fn redirect_uri(http: &Outbound, slot: &Slot, authorization: &Url, own: &Url) -> Finding {
    const CHECK: &str = "redirect_uri";
    let request = Request::new(Method::GET, authorization.clone());
    let answer = match timeout(PATIENCE, http.send(Endpoint::Authorization, request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Finding::unknown(CHECK, error),
        Err(_) => return Finding::unknown(CHECK, "the authorization endpoint did not answer in time"),
    };
    let target = answer.location.as_deref().and_then(|location| authorization.join(location).ok());
    let same = |url: &Url| url.origin() == own.origin() && url.path() == own.path();
    match (answer.status, target) {
        (300..=399, Some(url)) if same(&url) => Finding::ok(CHECK, format!("{own} is registered")),
        (300..=399, Some(url)) if url.as_str().contains("redirect_uri") && url.as_str().contains("error") => {
            Finding::bad(
                CHECK,
                format!(
                    "the provider does not know the callback: register {own} for this client, to the letter"
                ),
            )
        }
        (300..=399, Some(url)) => {
            let place = url.host_str().unwrap_or_default();
            Finding::unknown(
                CHECK,
                format!(
                    "the provider went on to a page of its own at {place}; make sure that {own} is registered"
                ),
            )
        }
        (400..=499, _) => Finding::bad(
            CHECK,
            format!(
                "the provider answered {} with a page of its own instead of coming back: register {own} for this client, to the letter, and check client_id",
                answer.status
            ),
        ),
        (200, _) if slot.response_mode == ResponseMode::FormPost => Finding::unknown(
            CHECK,
            format!(
                "the provider posts its answers, which only a browser can follow; make sure that {own} is registered"
            ),
        ),
        (status, _) => Finding::unknown(
            CHECK,
            format!("the provider answered {status}; make sure that {own} is registered"),
        ),
    }
}

/// Whether the provider accepts us as its client: it must refuse a made-up code for being made up.
pub async fn client_secret(http: &Outbound, grant: &CodeGrant<'_>) -> Finding {
    const CHECK: &str = "client_secret";
    if matches!(grant.slot.auth, ClientAuth::Public) {
        return Finding::ok(CHECK, "a public client, which has no secret");
    }
    let Ok(answer) = timeout(PATIENCE, grant.redeem(http)).await else {
        return Finding::unknown(CHECK, "the token endpoint did not answer in time");
    };
    match (accepts_client(&answer), answer) {
        (_, Ok(_)) => Finding::bad(CHECK, "the provider took a code that it never gave: do not use it"),
        (Some(true), Err(_)) => Finding::ok(CHECK, "the provider accepts the client"),
        (Some(false), Err(error)) => Finding::bad(
            CHECK,
            format!(
                "the provider does not accept the client ({error}): the secret is wrong or has expired, or it wants another token_endpoint_auth_method"
            ),
        ),
        (None, Err(error)) => Finding::unknown(CHECK, error),
    }
}

/// Who answers at our public address.
fn reached(discovery: &Map<String, Value>, public_url: &PublicUrl) -> Finding {
    const CHECK: &str = "reachable";
    match discovery.get("issuer").and_then(Value::as_str) {
        Some(own) if own == public_url.as_str() => Finding::ok(CHECK, "the public URL leads to Portico"),
        Some(other) => {
            Finding::bad(CHECK, format!("whoever answers there has the public URL {}", printable(other)))
        }
        None => Finding::bad(
            CHECK,
            "something else answers at the public URL: does the proxy send /.well-known/ and /auth/ to Portico?",
        ),
    }
}

/// Whether the public URL leads to the service: discovery names it, and headers as large as the cookies pass.
/// `proxy_checks` run last, and only if the public URL can be reached.
pub async fn public_url(
    http: &Outbound,
    public_url: &PublicUrl,
    proxy_checks: impl Future<Output = [Finding; 2]>,
) -> Vec<Finding> {
    let public = &public_url.at("/.well-known/openid-configuration");
    let answer = document(http, Endpoint::Discovery, public).await;
    let mut found = vec![dns(public).await, tls(public, &answer)];
    match &answer {
        Ok(members) => found.push(reached(members, public_url)),
        Err(error) => {
            found.push(Finding::unknown(
                "reachable",
                format!("{error}; is the service running, and can its public URL be reached from here?"),
            ));
            return found;
        }
    }
    let mut large = Request::new(Method::GET, public.clone());
    if let Ok(cookie) = HeaderValue::from_str(&format!("portico_check={}", "x".repeat(8 << 10))) {
        large.headers_mut().insert(COOKIE, cookie);
    }
    found.push(match timeout(PATIENCE, http.send(Endpoint::Discovery, large)).await {
        Ok(Ok(answer)) if answer.status == 200 => Finding::ok("header_size", "8 KiB of cookies pass"),
        Ok(Ok(answer)) => Finding::bad(
            "header_size",
            format!("8 KiB of cookies are answered with {}: let the proxy take larger headers (nginx: large_client_header_buffers)", answer.status),
        ),
        Ok(Err(error)) => Finding::unknown("header_size", error),
        Err(_) => Finding::unknown("header_size", "there was no answer in time"),
    });
    found.extend(proxy_checks.await);
    found
}

/// The response to a request that passes the proxies before the service.
#[derive(Debug)]
pub struct ProxiedResponse {
    /// The status.
    pub status: u16,
    /// The lines of `Set-Cookie`.
    pub set_cookies: Vec<String>,
    /// The body.
    pub body: String,
}

/// Fetches a URL of the service with a cookie and a claimed client address, in time.
///
/// # Errors
/// When there is no response in time.
pub async fn through_proxies(
    http: &Outbound,
    url: Url,
    cookie: &str,
    claimed_client: IpAddr,
) -> Result<ProxiedResponse, UpstreamError> {
    let mut request = Request::new(Method::GET, url);
    let forwarded_for = claimed_client.to_string();
    for (name, value) in
        [(COOKIE, cookie), (HeaderName::from_static("x-forwarded-for"), forwarded_for.as_str())]
    {
        if let Ok(value) = HeaderValue::from_str(value) {
            request.headers_mut().insert(name, value);
        }
    }
    let late = |_| Err(UpstreamError::Timeout { endpoint: Endpoint::Discovery.name() });
    let sent = timeout(PATIENCE, http.send(Endpoint::Discovery, request)).await;
    let answer = sent.unwrap_or_else(late)?;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    Ok(ProxiedResponse { status: answer.status, set_cookies: answer.set_cookies, body })
}
