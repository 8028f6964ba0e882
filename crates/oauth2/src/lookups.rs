//! Look-ups of claims that userinfo does not have: the verified e-mail address and the groups.
//!
//! They are not part of OAuth 2.0 or OpenID Connect. The formats are those of GitHub's REST API and of Google
//! Cloud Identity. If a look-up fails, its claim stays unknown. The login then fails if an access rule needs
//! the claim.

use portico_core::claims::Claims;
use portico_core::error::UpstreamError;
use portico_core::provider::Slot;
use portico_outbound::{Endpoint, Outbound, ProviderRequest, json};
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use crate::userinfo::send_with_token;

/// The most pages of groups that are read. With further pages, the look-up fails.
const MAX_PAGES: usize = 10;

/// The groups of one page; the largest value that Google allows.
const PAGE_SIZE: &str = "1000";

/// Adds the primary verified e-mail address to the claims. If the list cannot be read, the claims stay
/// unchanged.
///
/// # Errors
/// The list cannot be read, and the access rule checks the e-mail domain.
pub async fn with_email(
    claims: Claims,
    slot: &Slot,
    http: &Outbound,
    url: &Url,
    access_token: &SecretString,
) -> Result<Claims, UpstreamError> {
    match primary_email(http, url, access_token).await {
        Ok(Some(address)) => Ok(claims.with_email(address)),
        Ok(None) => Ok(claims),
        Err(error) if slot.access.email_domains.is_empty() => {
            let slot = slot.id();
            tracing::warn!(%slot, %error, "e-mail addresses could not be read; none is known to be verified");
            Ok(claims)
        }
        Err(error) => Err(error),
    }
}

/// The entry of the list that is both `primary` and `verified`.
async fn primary_email(
    http: &Outbound,
    url: &Url,
    access_token: &SecretString,
) -> Result<Option<String>, UpstreamError> {
    let endpoint = Endpoint::Emails;
    let request = ProviderRequest::get(url.clone());
    let response = send_with_token(http, endpoint, request, access_token).await?;
    let list = json::objects(&response.body).map_err(|error| endpoint.bad_response(error))?;
    let is = |entry: &Map<String, Value>, name: &str| entry.get(name).and_then(Value::as_bool) == Some(true);
    let primary = list.iter().find(|entry| is(entry, "primary") && is(entry, "verified"));
    Ok(primary.and_then(|entry| entry.get("email")?.as_str()).map(str::to_owned))
}

/// Replaces the groups of the claims by those of the look-up. If the look-up fails, the groups are unknown.
/// Without `groups_url` the claims stay unchanged.
///
/// # Errors
/// [`UpstreamError::BadResponse`] if the look-up fails and the access rule checks groups.
pub async fn with_groups(
    claims: Claims,
    slot: &Slot,
    http: &Outbound,
    access_token: &SecretString,
) -> Result<Claims, UpstreamError> {
    let Some(url) = &slot.groups_url else { return Ok(claims) };
    let address =
        claims.email().filter(|email| email.verified == Some(true)).map(|email| email.address.as_str());
    let found = match address {
        Some(address) => groups(http, url, address, access_token).await,
        None => Err(Endpoint::Groups.bad_response("there is no verified e-mail address to look for")),
    };
    match found {
        Ok(groups) => Ok(claims.with_groups(Some(groups))),
        Err(error) if slot.access.groups.is_empty() => {
            tracing::warn!(slot = %slot.id(), %error, "groups could not be looked up; they are unknown");
            Ok(claims.with_groups(None))
        }
        // Every failure has the same error code (section 4 of the contract).
        Err(error @ UpstreamError::BadResponse { .. }) => Err(error),
        Err(error) => Err(Endpoint::Groups.bad_response(error)),
    }
}

/// The addresses of all groups of the user, direct and transitive.
async fn groups(
    http: &Outbound,
    url: &Url,
    address: &str,
    access_token: &SecretString,
) -> Result<Vec<String>, UpstreamError> {
    let endpoint = Endpoint::Groups;
    // The address is a quoted part of an expression.
    if address.contains(['\'', '"', '\\']) {
        return Err(endpoint.bad_response("the e-mail address cannot be part of a question"));
    }
    let query = format!(
        "member_key_id == '{address}' && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels"
    );
    let (mut found, mut page_token) = (Vec::new(), String::new());
    for _ in 0..MAX_PAGES {
        let mut page = url.clone();
        page.query_pairs_mut().append_pair("query", &query).append_pair("pageSize", PAGE_SIZE);
        if !page_token.is_empty() {
            page.query_pairs_mut().append_pair("pageToken", &page_token);
        }
        let response = send_with_token(http, endpoint, ProviderRequest::get(page), access_token).await?;
        let page = json::object(&response.body).map_err(|error| endpoint.bad_response(error))?;
        found
            .extend(members(&page).ok_or_else(|| endpoint.bad_response("memberships is no list of groups"))?);
        match page.get("nextPageToken") {
            None | Some(Value::Null) => return Ok(found),
            Some(Value::String(next)) if next.is_empty() => return Ok(found),
            Some(Value::String(next)) => next.clone_into(&mut page_token),
            Some(_) => return Err(endpoint.bad_response("nextPageToken is no text")),
        }
    }
    Err(endpoint.bad_response("it has too many pages"))
}

/// The groups of one page; empty without `memberships`, and `None` if it has another type.
fn members(page: &Map<String, Value>) -> Option<Vec<String>> {
    let memberships = match page.get("memberships") {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(memberships) => memberships.as_array()?,
    };
    let id = |membership: &Value| membership.get("groupKey")?.get("id")?.as_str().map(str::to_owned);
    memberships.iter().map(id).collect()
}
