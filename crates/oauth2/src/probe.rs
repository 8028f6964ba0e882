//! Checks of `portico check --live` that need the protocol: does the provider know the callback and the
//! secret.

use portico_core::error::UpstreamError;
use portico_core::provider::inspection::Finding;
use portico_core::provider::{ClientAuth, ResponseMode, Slot};
use portico_outbound::reachability::{self, CHECK_TIMEOUT};
use portico_outbound::{Endpoint, Outbound, ProviderRequest, ProviderResponse};
use tokio::time::timeout;
use url::Url;

use crate::exchange::{CodeGrant, accepts_client};

/// A code that no provider issues.
pub const NO_CODE: &str = "portico-check-no-such-code";

/// Checks whether the callback is registered. An authorization request with `prompt=none` must come back to
/// it without a page.
pub async fn redirect_uri(http: &Outbound, slot: &Slot, authorization: &Url, callback: &Url) -> Finding {
    const CHECK: &str = "redirect_uri";
    let request = ProviderRequest::get(authorization.clone());
    match reachability::send(http, Endpoint::Authorization, request).await {
        Ok(response) => callback_finding(CHECK, &response, slot, authorization, callback),
        Err(UpstreamError::Timeout { .. }) => {
            Finding::unknown(CHECK, "the authorization endpoint did not answer in time")
        }
        Err(error) => Finding::unknown(CHECK, error),
    }
}

/// The verdict on the callback that follows from the response of the authorization endpoint.
fn callback_finding(
    check: &'static str,
    response: &ProviderResponse,
    slot: &Slot,
    authorization: &Url,
    callback: &Url,
) -> Finding {
    let target = response.location.as_deref().and_then(|location| authorization.join(location).ok());
    let make_sure = format!("make sure that {callback} is registered");
    match (response.status, target) {
        (300..=399, Some(url)) => redirect_finding(check, &url, callback),
        (400..=499, _) => Finding::bad(
            check,
            format!(
                "the provider answered {} with a page of its own instead of coming back: register {callback} \
                 for this client, to the letter, and check client_id",
                response.status
            ),
        ),
        (200, _) if slot.response_mode == ResponseMode::FormPost => Finding::unknown(
            check,
            format!("the provider posts its answers, which only a browser can follow; {make_sure}"),
        ),
        (status, _) => Finding::unknown(check, format!("the provider answered {status}; {make_sure}")),
    }
}

/// The verdict on the callback that follows from the target of a redirect.
fn redirect_finding(check: &'static str, target: &Url, callback: &Url) -> Finding {
    if target.origin() == callback.origin() && target.path() == callback.path() {
        return Finding::ok(check, format!("{callback} is registered"));
    }
    if target.as_str().contains("redirect_uri") && target.as_str().contains("error") {
        let problem = format!(
            "the provider does not know the callback: register {callback} for this client, to the letter"
        );
        return Finding::bad(check, problem);
    }
    let host = target.host_str().unwrap_or_default();
    Finding::unknown(
        check,
        format!(
            "the provider went on to a page of its own at {host}; make sure that {callback} is registered"
        ),
    )
}

/// Checks whether the provider accepts the client's credentials. It must refuse [`NO_CODE`] because of the
/// code.
pub async fn client_secret(http: &Outbound, grant: &CodeGrant<'_>) -> Finding {
    const CHECK: &str = "client_secret";
    if matches!(grant.slot.auth, ClientAuth::Public) {
        return Finding::ok(CHECK, "a public client, which has no secret");
    }
    let Ok(result) = timeout(CHECK_TIMEOUT, grant.redeem(http)).await else {
        return Finding::unknown(CHECK, "the token endpoint did not answer in time");
    };
    match (accepts_client(&result), result) {
        (_, Ok(_)) => Finding::bad(CHECK, "the provider took a code that it never gave: do not use it"),
        (Some(true), Err(_)) => Finding::ok(CHECK, "the provider accepts the client"),
        (Some(false), Err(error)) => Finding::bad(
            CHECK,
            format!(
                "the provider does not accept the client ({error}): the secret is wrong or has expired, or \
                 it wants another token_endpoint_auth_method"
            ),
        ),
        (None, Err(error)) => Finding::unknown(CHECK, error),
    }
}
