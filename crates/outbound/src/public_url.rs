//! Checks whether the public URL leads to the service.

use std::net::IpAddr;

use portico_core::error::UpstreamError;
use portico_core::provider::inspection::Finding;
use portico_core::public_url::PublicUrl;
use portico_core::text::printable;
use serde_json::{Map, Value};
use url::Url;

use crate::client::Outbound;
use crate::endpoint::Endpoint;
use crate::message::{ProviderRequest, ProviderResponse};
use crate::reachability::{self, dns, tls};

/// The size of the cookie that a proxy must accept, in bytes.
const COOKIE_SIZE: usize = 8 << 10;

/// Checks name resolution, TLS, the issuer of the discovery document, and the accepted size of headers.
/// `proxy_checks` run last, and only if the public URL can be reached.
pub async fn check(
    http: &Outbound,
    public_url: &PublicUrl,
    proxy_checks: impl Future<Output = [Finding; 2]>,
) -> Vec<Finding> {
    let discovery = public_url.at("/.well-known/openid-configuration");
    let document = reachability::document(http, Endpoint::Discovery, &discovery).await;
    let mut findings = vec![dns(&discovery).await, tls(&discovery, &document)];
    match &document {
        Ok(members) => findings.push(issuer_finding(members, public_url)),
        Err(error) => {
            findings.push(Finding::unknown(
                "reachable",
                format!("{error}; is the service running, and can its public URL be reached from here?"),
            ));
            return findings;
        }
    }
    findings.push(check_header_size(http, discovery).await);
    findings.extend(proxy_checks.await);
    findings
}

/// Whether the discovery document is that of this service.
fn issuer_finding(discovery: &Map<String, Value>, public_url: &PublicUrl) -> Finding {
    const CHECK: &str = "reachable";
    match discovery.get("issuer").and_then(Value::as_str) {
        Some(issuer) if issuer == public_url.as_str() => {
            Finding::ok(CHECK, "the public URL leads to Portico")
        }
        Some(other) => {
            let problem = format!("the service there has another public URL: {}", printable(other));
            Finding::bad(CHECK, problem)
        }
        None => Finding::bad(
            CHECK,
            "something else answers at the public URL: does the proxy send /.well-known/ and /auth/ to \
             Portico?",
        ),
    }
}

/// Checks whether headers as large as the cookies of Portico pass the proxies.
async fn check_header_size(http: &Outbound, discovery: Url) -> Finding {
    const CHECK: &str = "header_size";
    let cookie = format!("portico_check={}", "x".repeat(COOKIE_SIZE));
    let request = match ProviderRequest::get(discovery).header("cookie", &cookie) {
        Ok(request) => request,
        Err(error) => return Finding::unknown(CHECK, error),
    };
    match reachability::send(http, Endpoint::Discovery, request).await {
        Ok(response) if response.status == 200 => Finding::ok(CHECK, "8 KiB of cookies pass"),
        Ok(response) => Finding::bad(
            CHECK,
            format!(
                "8 KiB of cookies are answered with {}: let the proxy take larger headers (nginx: \
                 large_client_header_buffers)",
                response.status
            ),
        ),
        Err(UpstreamError::Timeout { .. }) => Finding::unknown(CHECK, "there was no answer in time"),
        Err(error) => Finding::unknown(CHECK, error),
    }
}

/// Fetches a URL of the service with a cookie and a claimed client address, in time.
///
/// # Errors
/// The cookie cannot be sent, or there is no response in time.
pub async fn through_proxies(
    http: &Outbound,
    url: Url,
    cookie: &str,
    claimed_client: IpAddr,
) -> Result<ProviderResponse, UpstreamError> {
    let endpoint = Endpoint::Discovery;
    let request = ProviderRequest::get(url)
        .header("cookie", cookie)
        .and_then(|request| request.header("x-forwarded-for", &claimed_client.to_string()))
        .map_err(|error| endpoint.bad_response(error))?;
    reachability::send(http, endpoint, request).await
}
