//! What a provider tells only when asked for it: the address that is verified, and the groups.
//!
//! Neither is part of OAuth 2.0 or OpenID Connect. The forms are those of GitHub's REST API and of Google Cloud Identity.
//! A look-up that fails leaves what it asked for unknown, which lets nobody in whom an access rule would judge by it.

use portico_core::claims::Claims;
use portico_core::error::UpstreamError;
use portico_core::provider::Slot;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use crate::json;
use crate::outbound::{Endpoint, Outbound};
use crate::userinfo::request;

/// How many pages of groups are read. A person of more groups than they hold has unknown ones.
const MOST_PAGES: usize = 10;

/// How many groups are asked for at once, the most that a page may have.
const PAGE_SIZE: &str = "1000";

/// Adds the primary verified e-mail address. When the list cannot be had, the login goes on without, unless the access
/// rule asks for a domain.
///
/// # Errors
/// When the address is needed and the list cannot be had.
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
            tracing::warn!(slot = %slot.id(), %error, "the e-mail addresses could not be read; none is known to be verified");
            Ok(claims)
        }
        Err(error) => Err(error),
    }
}

async fn primary_email(
    http: &Outbound,
    url: &Url,
    access_token: &SecretString,
) -> Result<Option<String>, UpstreamError> {
    let endpoint = Endpoint::Emails;
    let answer = request(http, endpoint, (Method::GET, url.clone()), access_token).await?;
    let list = json::objects(&answer.body).map_err(|error| endpoint.bad(error))?;
    let is = |entry: &Map<String, Value>, mark: &str| entry.get(mark).and_then(Value::as_bool) == Some(true);
    let primary = list.iter().find(|entry| is(entry, "primary") && is(entry, "verified"));
    Ok(primary.and_then(|entry| entry.get("email")?.as_str()).map(str::to_owned))
}

/// Replaces the groups by those of the look-up. When it fails, the login goes on with unknown groups, unless the access
/// rule asks for one.
///
/// # Errors
/// [`UpstreamError::BadResponse`] when groups are needed and the look-up fails.
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
        None => Err(Endpoint::Groups.bad("there is no verified e-mail address to look for")),
    };
    match found {
        Ok(groups) => Ok(claims.with_groups(Some(groups))),
        Err(error) if slot.access.groups.is_empty() => {
            tracing::warn!(slot = %slot.id(), %error, "the groups could not be looked up; they are unknown");
            Ok(claims.with_groups(None))
        }
        // One code whatever went wrong on the way (section 4 of the contract).
        Err(error @ UpstreamError::BadResponse { .. }) => Err(error),
        Err(error) => Err(Endpoint::Groups.bad(error)),
    }
}

/// The addresses of all groups that the person is in, directly or through another group.
async fn groups(
    http: &Outbound,
    url: &Url,
    address: &str,
    access_token: &SecretString,
) -> Result<Vec<String>, UpstreamError> {
    let endpoint = Endpoint::Groups;
    // The address stands in an expression, between quotes.
    if address.contains(['\'', '"', '\\']) {
        return Err(endpoint.bad("the e-mail address cannot be part of a question"));
    }
    let query = format!(
        "member_key_id == '{address}' && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels"
    );
    let (mut found, mut page_token) = (Vec::new(), String::new());
    for _ in 0..MOST_PAGES {
        let mut page = url.clone();
        page.query_pairs_mut().append_pair("query", &query).append_pair("pageSize", PAGE_SIZE);
        if !page_token.is_empty() {
            page.query_pairs_mut().append_pair("pageToken", &page_token);
        }
        let answer = request(http, endpoint, (Method::GET, page), access_token).await?;
        let page = json::object(&answer.body).map_err(|error| endpoint.bad(error))?;
        found.extend(members(&page).ok_or_else(|| endpoint.bad("memberships is no list of groups"))?);
        match page.get("nextPageToken") {
            None | Some(Value::Null) => return Ok(found),
            Some(Value::String(next)) if next.is_empty() => return Ok(found),
            Some(Value::String(next)) => next.clone_into(&mut page_token),
            Some(_) => return Err(endpoint.bad("nextPageToken is no text")),
        }
    }
    Err(endpoint.bad("it has too many pages"))
}

/// The groups of one page; without the member there are none.
fn members(page: &Map<String, Value>) -> Option<Vec<String>> {
    let memberships = match page.get("memberships") {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(memberships) => memberships.as_array()?,
    };
    let id = |membership: &Value| membership.get("groupKey")?.get("id")?.as_str().map(str::to_owned);
    memberships.iter().map(id).collect()
}
