//! The exchange of a code for tokens (RFC 6749 4.1.3).
//!
//! The `oauth2` crate builds the request, with each method of client authentication. Its parser refuses what
//! providers do send: an `expires_in` that is text or negative, and GitHub's form-encoded responses and
//! errors of status 200. It accepts two members of one name, which Portico refuses. Therefore this module
//! parses the response first. It passes on the JSON that RFC 6749 5.1 and 5.2 describe, with only the members
//! that Portico uses.
//!
//! The errors of the crate have the whole body with its tokens. None of them leaves this file.

use std::collections::btree_map::{BTreeMap, Entry};
use std::pin::Pin;

use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::http::StatusCode;
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, ExtraTokenFields,
    HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl, RequestTokenError, StandardRevocableToken,
    StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use portico_core::clock::Timestamp;
use portico_core::error::UpstreamError;
use portico_core::provider::{ClientAuth, ClientKey, LoginSecrets, Pkce, Slot};
use portico_core::text::printable;
use portico_outbound::{Endpoint, Outbound, ProviderRequest, ProviderResponse, json};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

/// How a client secret is sent (RFC 6749 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// `client_secret_basic`: in the header `Authorization`.
    Basic,
    /// `client_secret_post`: in the body.
    Post,
}

/// A token request for a code (RFC 6749 4.1.3).
#[derive(Debug)]
pub struct CodeGrant<'a> {
    /// The slot of the login.
    pub slot: &'a Slot,
    /// The token endpoint of the provider.
    pub token_url: &'a Url,
    /// The method of a slot whose `token_endpoint_auth_method` is `auto`.
    pub auto: AuthMethod,
    /// The audience of a client assertion (RFC 7523 3): the provider's issuer, or the token endpoint without
    /// one.
    pub audience: &'a str,
    /// The redirect URI of the authorization request.
    pub redirect_uri: &'a Url,
    /// The secrets of the login, with the PKCE verifier (RFC 7636 4.5).
    pub login_secrets: &'a LoginSecrets,
    /// The authorization code.
    pub code: &'a SecretString,
    /// The current time, for the client assertion.
    pub now: Timestamp,
}

/// The tokens of a login.
#[derive(Debug)]
pub struct Granted {
    /// The access token: visible ASCII, of type Bearer.
    pub access_token: SecretString,
    /// The ID token, unverified; `None` if the response has none.
    pub unverified_id_token: Option<SecretString>,
}

/// The client's credentials in one token request.
#[derive(Clone, Copy)]
enum Credentials<'a> {
    None,
    Secret(AuthMethod, &'a SecretString),
    ClientAssertion(&'a ClientKey),
}

/// The `client_assertion_type` of a signed JWT (RFC 7523 2.2).
const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl CodeGrant<'_> {
    /// Exchanges the code. If the provider does not accept the slot's current secret, the next one is tried.
    /// Records whether the provider accepts the credentials.
    ///
    /// # Errors
    /// The provider refuses the code or the client, or there is no usable response.
    pub async fn redeem(&self, http: &Outbound) -> Result<Granted, UpstreamError> {
        let result = self.redeem_with_secrets(http).await;
        if let (Some(valid), false) = (accepts_client(&result), matches!(self.slot.auth, ClientAuth::Public))
        {
            let slot = self.slot.id().to_string();
            metrics::gauge!("portico_idp_credentials_valid", "slot" => slot).set(u8::from(valid));
        }
        result
    }

    async fn redeem_with_secrets(&self, http: &Outbound) -> Result<Granted, UpstreamError> {
        let (method, secrets) = match &self.slot.auth {
            ClientAuth::Public => return self.request(http, Credentials::None).await,
            ClientAuth::PrivateKey(key) => {
                return self.request(http, Credentials::ClientAssertion(key)).await;
            }
            ClientAuth::Auto(secrets) => (self.auto, secrets),
            ClientAuth::Basic(secrets) => (AuthMethod::Basic, secrets),
            ClientAuth::Post(secrets) => (AuthMethod::Post, secrets),
        };
        let first = self.request(http, Credentials::Secret(method, &secrets.current)).await;
        match (&first, &secrets.next) {
            (Err(UpstreamError::CodeRejected { error }), Some(next)) if error == "invalid_client" => {
                tracing::info!(slot = %self.slot.id(), "current client secret refused; trying the next one");
                self.request(http, Credentials::Secret(method, next)).await
            }
            _ => first,
        }
    }

    async fn request(&self, http: &Outbound, credentials: Credentials<'_>) -> Result<Granted, UpstreamError> {
        let mut client = TokenClient::new(ClientId::new(self.slot.client_id.clone()))
            .set_token_uri(TokenUrl::from_url(self.token_url.clone()))
            .set_redirect_uri(RedirectUrl::from_url(self.redirect_uri.clone()))
            .set_auth_type(match credentials {
                Credentials::Secret(AuthMethod::Basic, _) => AuthType::BasicAuth,
                Credentials::Secret(AuthMethod::Post, _)
                | Credentials::ClientAssertion(_)
                | Credentials::None => AuthType::RequestBody,
            });
        if let Credentials::Secret(_, secret) = credentials {
            client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
        }
        let code = AuthorizationCode::new(self.code.expose_secret().to_owned());
        let mut request = client.exchange_code(code);
        if self.slot.pkce == Pkce::S256 {
            let verifier = self.login_secrets.verifier().expose_secret().to_owned();
            request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier));
        }
        if let Credentials::ClientAssertion(key) = credentials {
            let client_assertion = key.client_assertion(&self.slot.client_id, self.audience, self.now);
            let client_assertion =
                client_assertion.map_err(|problem| Endpoint::Token.bad_response(problem))?;
            request = request
                .add_extra_param("client_assertion_type", CLIENT_ASSERTION_TYPE)
                .add_extra_param("client_assertion", client_assertion.expose_secret().to_owned());
        }
        let answered = request.request_async(&TokenEndpoint(http.clone())).await;
        granted(&answered.map_err(refusal)?)
    }
}

/// The client of the `oauth2` crate, with `id_token` as additional member of the response.
type TokenClient = Client<
    BasicErrorResponse,
    CodeResponse,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

type CodeResponse = StandardTokenResponse<IdTokenField, BasicTokenType>;

#[derive(Debug, Serialize, Deserialize)]
struct IdTokenField {
    id_token: Option<String>,
}

impl ExtraTokenFields for IdTokenField {}

/// Takes the tokens out of a response.
fn granted(response: &CodeResponse) -> Result<Granted, UpstreamError> {
    // RFC 6749 7.1: a client must not use a token of an unknown type.
    if *response.token_type() != BasicTokenType::Bearer {
        return Err(Endpoint::Token.bad_response("token_type is not Bearer"));
    }
    let access_token = response.access_token().secret();
    // RFC 6749 A.12. Other characters cannot be part of a header.
    if access_token.is_empty() || !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Endpoint::Token.bad_response("access_token is not visible ASCII"));
    }
    Ok(Granted {
        access_token: access_token.as_str().into(),
        unverified_id_token: response.extra_fields().id_token.as_deref().map(Into::into),
    })
}

/// The error of a token request without the body of the response.
fn refusal(error: RequestTokenError<UpstreamError, BasicErrorResponse>) -> UpstreamError {
    match error {
        RequestTokenError::ServerResponse(response) => {
            UpstreamError::CodeRejected { error: printable(response.error().as_ref()) }
        }
        RequestTokenError::Request(error) => error,
        RequestTokenError::Parse(..) => Endpoint::Token
            .bad_response("access_token, token_type or id_token is missing or has the wrong type"),
        RequestTokenError::Other(_) => Endpoint::Token.bad_response("the exchange could not be made"),
    }
}

/// The outbound client as HTTP client of the `oauth2` crate.
struct TokenEndpoint(Outbound);

impl<'c> AsyncHttpClient<'c> for TokenEndpoint {
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, UpstreamError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(call(&self.0, request))
    }
}

async fn call(http: &Outbound, request: HttpRequest) -> Result<HttpResponse, UpstreamError> {
    let request =
        token_request(request).ok_or_else(|| Endpoint::Token.bad_response("the request cannot be sent"))?;
    normalized(&http.send(Endpoint::Token, request).await?)
}

/// A request of the `oauth2` crate, which is always a POST (RFC 6749 3.2), as request of the outbound client.
fn token_request(request: HttpRequest) -> Option<ProviderRequest> {
    let (head, body) = request.into_parts();
    let mut request = ProviderRequest::post(Url::parse(&head.uri.to_string()).ok()?, body);
    for (name, value) in &head.headers {
        request = request.header(name.as_str(), value.to_str().ok()?).ok()?;
    }
    Some(request)
}

/// The response in the format of RFC 6749: the members of 5.1 with status 200, or the `error` of 5.2 with
/// status 400.
fn normalized(response: &ProviderResponse) -> Result<HttpResponse, UpstreamError> {
    let unusable = || Endpoint::Token.bad_response(format_args!("status {}", response.status));
    if response.status != 200 && !(400..500).contains(&response.status) {
        return Err(unusable());
    }
    let members = match members(response) {
        Err(_) if response.status != 200 => return Err(unusable()),
        members => members?,
    };
    let (status, body) = match members.get("error") {
        Some(Value::String(error)) if !error.is_empty() => {
            (StatusCode::BAD_REQUEST, json!({ "error": error }))
        }
        None | Some(Value::Null) if response.status == 200 => {
            let used = |name: &&str| ["access_token", "token_type", "id_token"].contains(name);
            let used_members =
                members.iter().filter(|(name, value)| used(&name.as_str()) && !value.is_null());
            (StatusCode::OK, used_members.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        _ => return Err(unusable()),
    };
    let mut normalized = HttpResponse::new(body.to_string().into_bytes());
    *normalized.status_mut() = status;
    Ok(normalized)
}

/// The members of a JSON or form-encoded response.
fn members(response: &ProviderResponse) -> Result<Map<String, Value>, UpstreamError> {
    if response.media_type != "application/x-www-form-urlencoded" {
        return json::object(&response.body).map_err(|error| Endpoint::Token.bad_response(error));
    }
    let mut members = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(&response.body) {
        match members.entry(name.into_owned()) {
            Entry::Vacant(entry) => entry.insert(Value::String(value.into_owned())),
            Entry::Occupied(_) => return Err(Endpoint::Token.bad_response("it has two members of one name")),
        };
    }
    Ok(members.into_iter().collect())
}

/// Whether the token endpoint accepted the client's credentials (RFC 6749 5.2); `None` if the result does not
/// show it. Some providers send `invalid_code` or `bad_verification_code` in place of `invalid_grant`.
pub(crate) fn accepts_client<T>(result: &Result<T, UpstreamError>) -> Option<bool> {
    match result {
        Ok(_) => Some(true),
        Err(UpstreamError::CodeRejected { error }) => match error.as_str() {
            "invalid_client" | "unauthorized_client" => Some(false),
            "invalid_grant" | "invalid_code" | "bad_verification_code" => Some(true),
            _ => None,
        },
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(status: u16, media_type: &str, body: &str) -> Result<Granted, UpstreamError> {
        let response = ProviderResponse {
            status,
            media_type: media_type.to_owned(),
            body: body.as_bytes().to_vec(),
            ..ProviderResponse::default()
        };
        let response = normalized(&response)?;
        if response.status() == StatusCode::OK {
            let parsed = serde_json::from_slice(response.body());
            return granted(&parsed.map_err(|_| Endpoint::Token.bad_response("parse"))?);
        }
        let refused: BasicErrorResponse = serde_json::from_slice(response.body()).unwrap();
        Err(refusal(RequestTokenError::ServerResponse(refused)))
    }

    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";

    /// Status, media type and body of responses with the access token `at`, and their ID token.
    const GRANTED: [(u16, &str, &str, Option<&str>); 9] = [
        (200, JSON, r#"{"access_token":"at","token_type":"Bearer"}"#, None),
        (200, JSON, r#"{"access_token":"at","token_type":"bearer","id_token":"i"}"#, Some("i")),
        (200, JSON, r#"{"access_token":"at","token_type":"BEARER","id_token":null}"#, None),
        (200, "text/plain", r#"{"access_token":"at","token_type":"Bearer"}"#, None),
        (200, "", "\u{feff}{\"access_token\":\"at\",\"token_type\":\"Bearer\"}", None),
        (200, JSON, r#"{"access_token":"at","token_type":"Bearer","expires_in":"3599"}"#, None),
        (200, JSON, r#"{"access_token":"at","token_type":"Bearer","expires_in":-5,"scope":7}"#, None),
        (200, JSON, r#"{"access_token":"at","token_type":"Bearer","error":null}"#, None),
        (200, FORM, "access_token=at&scope=&token_type=bearer", None),
    ];

    /// Status, media type and body of unusable responses (threats M04, M36, L04).
    const UNUSABLE: [(u16, &str, &str); 23] = [
        (200, JSON, r#"{"access_token":"at","token_type":"Bearer","access_token":"b"}"#),
        (200, FORM, "access_token=at&token_type=bearer&access_token=b"),
        (200, JSON, r#"{"access_token":"at","token_type":"Bearer"}{}"#),
        (200, JSON, r#"{"access_token":"at","token_type":"DPoP"}"#),
        (200, JSON, r#"{"access_token":"at","token_type":""}"#),
        (200, JSON, r#"{"access_token":"at","token_type":7}"#),
        (200, JSON, r#"{"access_token":"at"}"#),
        (200, JSON, r#"{"access_token":"","token_type":"Bearer"}"#),
        (200, JSON, r#"{"access_token":"a t","token_type":"Bearer"}"#),
        (200, JSON, r#"{"access_token":"a\nt","token_type":"Bearer"}"#),
        (200, JSON, r#"{"access_token":7,"token_type":"Bearer"}"#),
        (200, JSON, r#"{"access_token":"at","token_type":"Bearer","id_token":7}"#),
        (200, JSON, r#"{"token_type":"Bearer"}"#),
        (200, JSON, ""),
        (200, JSON, "[]"),
        (200, "text/html", "<html>"),
        (400, JSON, r#"{"access_token":"at","token_type":"Bearer"}"#),
        (400, JSON, r#"{"error":7}"#),
        (200, JSON, r#"{"error":["x"],"access_token":"at","token_type":"Bearer"}"#),
        (404, "text/html", "<html>"),
        (500, JSON, r#"{"error":"server_error"}"#),
        (302, JSON, r#"{"access_token":"at","token_type":"Bearer"}"#),
        (201, JSON, r#"{"access_token":"at","token_type":"Bearer"}"#),
    ];

    /// Status, media type and body of refusals. GitHub sends them with status 200.
    const REFUSALS: [(u16, &str, &str); 5] = [
        (400, JSON, r#"{"error":"invalid_grant","error_description":"x"}"#),
        (401, JSON, r#"{"error":"invalid_client"}"#),
        (200, JSON, r#"{"error":"bad_verification_code"}"#),
        (200, FORM, "error=bad_verification_code"),
        (200, JSON, r#"{"error":"invalid_grant","access_token":"at","token_type":"Bearer"}"#),
    ];

    #[test]
    fn m18_m36_q_x_11_answers_of_the_token_endpoint_are_read_strictly_and_without_fuss() {
        let granted =
            GRANTED.map(|(status, kind, body, id_token)| (status, kind, body, Ok(("at", id_token))));
        let unusable = UNUSABLE.map(|(status, kind, body)| (status, kind, body, Err("idp_bad_response")));
        let refusals = REFUSALS.map(|(status, kind, body)| (status, kind, body, Err("code_rejected")));
        for (status, kind, body, expected) in granted.into_iter().chain(unusable).chain(refusals) {
            let received = parse(status, kind, body);
            let received = received.as_ref().map_err(|error| error.code().as_str()).map(|tokens| {
                let id_token = tokens.unverified_id_token.as_ref().map(ExposeSecret::expose_secret);
                (tokens.access_token.expose_secret(), id_token)
            });
            assert_eq!(received, expected, "{status} {body}");
        }
    }

    #[test]
    fn h09_h10_no_error_repeats_what_was_read() {
        for body in [
            r#"{"access_token":4242,"token_type":"Bearer"}"#,
            r#"{"access_token":"CANARY 4242","token_type":"Bearer"}"#,
            r#"{"access_token":"4242","token_type":"4242"}"#,
            r#""4242""#,
            "4242",
        ] {
            let error = parse(200, "application/json", body).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("4242"), "{error:?}");
        }
        let error = parse(400, "", r#"{"error":"a\r\n\u001b[31m\u2028b"}"#).unwrap_err();
        assert!(!error.to_string().contains(['\r', '\n', '\u{1b}', '\u{2028}']), "{error}");
    }
}
