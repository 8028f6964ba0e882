//! Userinfo, and other resources that an access token gives access to.

use portico_core::error::UpstreamError;
use portico_core::provider::UserinfoMethod;
use portico_outbound::{Endpoint, Outbound, ProviderRequest, ProviderResponse, json};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::Url;

/// A userinfo response, in the format that the provider chose.
#[derive(Debug)]
pub enum Userinfo {
    /// A JSON document.
    Plain(Map<String, Value>),
    /// A JWT (OIDC Core 5.3.2), unverified.
    UnverifiedJwt(String),
}

/// Fetches userinfo (OIDC Core 5.3.1).
///
/// # Errors
/// There is no response, the status is not 200, or the body is neither a JSON object nor a JWT.
pub async fn fetch(
    http: &Outbound,
    url: &Url,
    method: UserinfoMethod,
    access_token: &SecretString,
) -> Result<Userinfo, UpstreamError> {
    let endpoint = Endpoint::Userinfo;
    let request = match method {
        UserinfoMethod::Get => ProviderRequest::get(url.clone()),
        UserinfoMethod::Post => ProviderRequest::post(url.clone(), Vec::new()),
    };
    let response = send_with_token(http, endpoint, request, access_token).await?;
    if response.media_type == "application/jwt" {
        let token = String::from_utf8(response.body).map_err(|_| endpoint.bad_response("it is not a JWT"))?;
        return Ok(Userinfo::UnverifiedJwt(token.trim().to_owned()));
    }
    json::object(&response.body).map(Userinfo::Plain).map_err(|error| endpoint.bad_response(error))
}

/// Sends a request with an access token, in the `Authorization` header only (RFC 6750 2.1).
///
/// # Errors
/// The token cannot be sent, there is no response, or the status is not 200.
pub(crate) async fn send_with_token(
    http: &Outbound,
    endpoint: Endpoint,
    request: ProviderRequest,
    access_token: &SecretString,
) -> Result<ProviderResponse, UpstreamError> {
    let bearer = format!("Bearer {}", access_token.expose_secret());
    let request = request
        .accept_json()
        .header("authorization", &bearer)
        .map_err(|_| endpoint.bad_response("the access token cannot be sent"))?;
    let response = http.send(endpoint, request).await?;
    response.expect_ok(endpoint)?;
    Ok(response)
}
