//! Whether the proxies before the service change cookies and report the client's address.

use portico_core::clock::{Clock, Entropy};
use portico_core::provider::inspection::Finding;
use portico_core::public_url::PublicUrl;
use portico_core::seal::{Seals, base64url};
use portico_http::proxy_probe::{CLAIMED_CLIENT, ProbeRequest};
use portico_outbound::Outbound;
use portico_outbound::public_url::through_proxies;

/// Sends a probe through the public URL and judges how it arrives: the findings `cookies` and `forwarded`.
pub(super) async fn proxy_checks(http: &Outbound, public_url: &PublicUrl, seals: &Seals) -> [Finding; 2] {
    let unknown = |problem: String| ["cookies", "forwarded"].map(|check| Finding::unknown(check, &problem));
    let request = ProbeRequest::new(seals, public_url, Clock::System.now());
    let mut url = public_url.at("/auth/mirror");
    url.query_pairs_mut().append_pair("question", request.as_str());
    let cookie = format!("portico_check={}", base64url(&Entropy.bytes::<12>()));
    let response = match through_proxies(http, url, &cookie, CLAIMED_CLIENT).await {
        Ok(response) => response,
        Err(error) => return unknown(error.to_string()),
    };
    let answer = String::from_utf8_lossy(&response.body);
    match request.open_answer(seals, answer.trim()) {
        Some(observed) => {
            [observed.check_cookies(&cookie, &response.set_cookies), observed.check_forwarded()]
        }
        None => unknown(format!(
            "the answer {} does not come from a service with this secret key: \
             is the service of this version, and has it the same settings?",
            response.status
        )),
    }
}
