//! What the access token of a login opens: the provider's word on the person.

use portico_core::error::UpstreamError;
use portico_core::provider::UserinfoMethod;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::Url;

use crate::json;
use crate::outbound::{Answer, Endpoint, Outbound};

/// A userinfo answer, in the form it came.
#[derive(Debug)]
pub enum Userinfo {
    /// A JSON document.
    Plain(Map<String, Value>),
    /// A JWT (OIDC Core 5.3.2), unverified.
    UnverifiedJwt(String),
}

/// Asks for userinfo (OIDC Core 5.3.1).
///
/// # Errors
/// When there is no answer, another status than 200, or no document.
pub async fn fetch(
    http: &Outbound,
    url: &Url,
    method: UserinfoMethod,
    access_token: &SecretString,
) -> Result<Userinfo, UpstreamError> {
    let endpoint = Endpoint::Userinfo;
    let verb = match method {
        UserinfoMethod::Get => Method::GET,
        UserinfoMethod::Post => Method::POST,
    };
    let answer = request(http, endpoint, (verb, url.clone()), access_token).await?;
    if answer.media_type == "application/jwt" {
        let token = String::from_utf8(answer.body).map_err(|_| endpoint.bad("it is not a JWT"))?;
        return Ok(Userinfo::UnverifiedJwt(token.trim().to_owned()));
    }
    json::object(&answer.body).map(Userinfo::Plain).map_err(|error| endpoint.bad(error))
}

/// Asks what an access token opens. The token travels in the `Authorization` header only (RFC 6750 2.1).
pub(crate) async fn request(
    http: &Outbound,
    endpoint: Endpoint,
    (verb, url): (Method, Url),
    access_token: &SecretString,
) -> Result<Answer, UpstreamError> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", access_token.expose_secret()))
        .map_err(|_| endpoint.bad("the access token cannot be sent"))?;
    bearer.set_sensitive(true);
    let mut request = Request::new(verb, url);
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    request.headers_mut().insert(AUTHORIZATION, bearer);
    let answer = http.send(endpoint, request).await?;
    answer.expect_ok(endpoint)?;
    Ok(answer)
}
