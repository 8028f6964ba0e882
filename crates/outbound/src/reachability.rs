//! Checks whether a URL can be reached: name resolution, TLS and the response.

use std::time::Duration;

use portico_core::error::{CertificateFault, UpstreamError};
use portico_core::provider::inspection::Finding;
use serde_json::{Map, Value};
use tokio::time::timeout;
use url::Url;

use crate::client::Outbound;
use crate::endpoint::Endpoint;
use crate::message::{ProviderRequest, ProviderResponse};

/// Time limit for one request of a check. All checks together take less than five seconds.
pub const CHECK_TIMEOUT: Duration = Duration::from_millis(1500);

/// Checks whether the host of a URL has an address.
pub async fn dns(url: &Url) -> Finding {
    const CHECK: &str = "dns";
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Finding::bad(CHECK, "the address has no host");
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = timeout(CHECK_TIMEOUT, tokio::net::lookup_host((bare, port))).await;
    match found.map(|found| found.map(Iterator::count)) {
        Ok(Ok(0)) => Finding::bad(CHECK, format!("{host} has no address")),
        Ok(Ok(_)) => Finding::ok(CHECK, format!("{host} is known")),
        Ok(Err(error)) => Finding::bad(CHECK, format!("{host} cannot be resolved: {error}")),
        Err(_) => Finding::unknown(CHECK, format!("the name server did not answer for {host} in time")),
    }
}

/// Sends a request within [`CHECK_TIMEOUT`].
///
/// # Errors
/// As [`Outbound::send`].
pub async fn send(
    http: &Outbound,
    endpoint: Endpoint,
    request: ProviderRequest,
) -> Result<ProviderResponse, UpstreamError> {
    let late = |_| Err(UpstreamError::Timeout { endpoint: endpoint.name() });
    timeout(CHECK_TIMEOUT, http.send(endpoint, request)).await.unwrap_or_else(late)
}

/// Fetches a JSON document within [`CHECK_TIMEOUT`].
///
/// # Errors
/// As [`Outbound::document`].
pub async fn document(
    http: &Outbound,
    endpoint: Endpoint,
    url: &Url,
) -> Result<Map<String, Value>, UpstreamError> {
    let late = |_| Err(UpstreamError::Timeout { endpoint: endpoint.name() });
    timeout(CHECK_TIMEOUT, http.document(endpoint, url)).await.unwrap_or_else(late)
}

/// The verdict on TLS that follows from the result of a call to this URL.
pub fn tls<T>(url: &Url, result: &Result<T, UpstreamError>) -> Finding {
    const CHECK: &str = "tls";
    let (problem, certificate) = match result {
        _ if url.scheme() != "https" => {
            return Finding::unknown(CHECK, "plain http; for loopback hosts and tests only");
        }
        Err(UpstreamError::Unreachable { problem, certificate, .. }) => (problem, certificate),
        Err(UpstreamError::Timeout { .. } | UpstreamError::Overloaded { .. }) => {
            return Finding::unknown(CHECK, "there was no answer in time");
        }
        Ok(_) | Err(_) => return Finding::ok(CHECK, "the certificate is valid"),
    };
    match certificate {
        None => Finding::unknown(CHECK, format!("there is no connection: {problem}")),
        Some(fault) => Finding::bad(CHECK, format!("{} ({problem})", explanation(*fault))),
    }
}

/// The fault of a certificate, with the remedy.
const fn explanation(fault: CertificateFault) -> &'static str {
    match fault {
        CertificateFault::Expired => {
            "the certificate has expired: the operator of the provider must renew it"
        }
        CertificateFault::NotYetValid => "the certificate is not valid yet: is this host's clock right?",
        CertificateFault::UnknownIssuer => {
            "the certificate is by an authority that is not known here: name its certificate in ca_bundle"
        }
        CertificateFault::AuthorityAsServer => {
            "the certificate is that of an authority, not one for a server: the operator of the provider \
             must replace it"
        }
        CertificateFault::WrongName => "the certificate is for another name: is the address right?",
        CertificateFault::Other => {
            "the certificate is not accepted; `openssl s_client -connect HOST:PORT` shows it"
        }
    }
}
