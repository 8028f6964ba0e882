//! A code for tokens.
//!
//! The request is the `oauth2` crate's: it knows how each kind of client proves itself. Its reading of the answer is
//! strict where providers are lax (an `expires_in` that is text or negative, GitHub's form-encoded answers and errors
//! of status 200) and lax where we are strict (two members of one name). So the answer is read here first and handed
//! over as the plain JSON that RFC 6749 5.1 and 5.2 describe, with only the members that Portico uses.
//!
//! The crate's errors carry the whole body with its tokens; none of them leaves this file.

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
use reqwest::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use crate::json;
use crate::outbound::{Answer, Endpoint, Outbound};

/// Where a client secret is put (RFC 6749 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
}

/// A code about to be exchanged (RFC 6749 4.1.3).
#[derive(Debug)]
pub struct CodeGrant<'a> {
    /// Whose code it is.
    pub slot: &'a Slot,
    /// The token endpoint of this login's provider.
    pub token_url: &'a Url,
    /// What the slot's `auto` means at this provider.
    pub auto: AuthMethod,
    /// Whom a signed statement about us is for: the provider's issuer.
    pub audience: &'a str,
    /// The callback, exactly as in the authorization request.
    pub redirect_uri: &'a Url,
    /// Has the PKCE verifier (RFC 7636 4.5).
    pub login_secrets: &'a LoginSecrets,
    /// The code.
    pub code: &'a SecretString,
    /// Now.
    pub now: Timestamp,
}

/// What the provider gave for a code.
#[derive(Debug)]
pub struct Granted {
    /// The access token: visible ASCII, of type Bearer.
    pub access_token: SecretString,
    /// The ID token, unverified, if one came.
    pub unverified_id_token: Option<SecretString>,
}

/// What of ours goes along with one request.
#[derive(Clone, Copy)]
enum Proof<'a> {
    None,
    Secret(AuthMethod, &'a SecretString),
    ClientAssertion(&'a ClientKey),
}

/// RFC 7523 2.2.
const STATEMENT_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl CodeGrant<'_> {
    /// Exchanges the code. The slot's next secret is tried only when the provider does not accept the client by the
    /// current one.
    ///
    /// # Errors
    /// When the provider refuses the code or gives no proper answer.
    pub async fn redeem(&self, http: &Outbound) -> Result<Granted, UpstreamError> {
        let answer = self.redeem_by(http).await;
        if let (Some(valid), false) = (accepts_client(&answer), matches!(self.slot.auth, ClientAuth::Public))
        {
            let slot = self.slot.id().to_string();
            metrics::gauge!("portico_idp_credentials_valid", "slot" => slot).set(u8::from(valid));
        }
        answer
    }

    async fn redeem_by(&self, http: &Outbound) -> Result<Granted, UpstreamError> {
        let (method, secrets) = match &self.slot.auth {
            ClientAuth::Public => return self.request(http, Proof::None).await,
            ClientAuth::PrivateKey(key) => return self.request(http, Proof::ClientAssertion(key)).await,
            ClientAuth::Auto(secrets) => (self.auto, secrets),
            ClientAuth::Basic(secrets) => (AuthMethod::Basic, secrets),
            ClientAuth::Post(secrets) => (AuthMethod::Post, secrets),
        };
        let first = self.request(http, Proof::Secret(method, &secrets.current)).await;
        match (&first, &secrets.next) {
            (Err(UpstreamError::CodeRejected { error }), Some(next)) if error == "invalid_client" => {
                tracing::info!(slot = %self.slot.id(), "the current client secret is refused, the next one is tried");
                self.request(http, Proof::Secret(method, next)).await
            }
            _ => first,
        }
    }

    async fn request(&self, http: &Outbound, proof: Proof<'_>) -> Result<Granted, UpstreamError> {
        let mut client = TokenClient::new(ClientId::new(self.slot.client_id.clone()))
            .set_token_uri(TokenUrl::from_url(self.token_url.clone()))
            .set_redirect_uri(RedirectUrl::from_url(self.redirect_uri.clone()))
            .set_auth_type(match proof {
                Proof::Secret(AuthMethod::Basic, _) => AuthType::BasicAuth,
                Proof::Secret(AuthMethod::Post, _) | Proof::ClientAssertion(_) | Proof::None => {
                    AuthType::RequestBody
                }
            });
        if let Proof::Secret(_, secret) = proof {
            client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
        }
        let code = AuthorizationCode::new(self.code.expose_secret().to_owned());
        let mut request = client.exchange_code(code);
        if self.slot.pkce == Pkce::S256 {
            let verifier = self.login_secrets.verifier().expose_secret().to_owned();
            request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier));
        }
        if let Proof::ClientAssertion(key) = proof {
            let client_assertion = key.client_assertion(&self.slot.client_id, self.audience, self.now);
            let client_assertion = client_assertion.map_err(|problem| Endpoint::Token.bad(problem))?;
            request = request
                .add_extra_param("client_assertion_type", STATEMENT_TYPE)
                .add_extra_param("client_assertion", client_assertion.expose_secret().to_owned());
        }
        let answered = request.request_async(&TokenEndpoint(http.clone())).await;
        granted(&answered.map_err(refusal)?)
    }
}

/// The `oauth2` crate's client, with the one member that it does not know.
type TokenClient = Client<
    BasicErrorResponse,
    Answered,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

type Answered = StandardTokenResponse<IdTokenField, BasicTokenType>;

#[derive(Debug, Serialize, Deserialize)]
struct IdTokenField {
    id_token: Option<String>,
}

impl ExtraTokenFields for IdTokenField {}

fn granted(answered: &Answered) -> Result<Granted, UpstreamError> {
    // RFC 6749 7.1: a token of a type we do not know must not be used.
    if *answered.token_type() != BasicTokenType::Bearer {
        return Err(Endpoint::Token.bad("token_type is not Bearer"));
    }
    let access_token = answered.access_token().secret();
    // RFC 6749 A.12; anything else could not stand in a header.
    if access_token.is_empty() || !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Endpoint::Token.bad("access_token is not visible ASCII"));
    }
    Ok(Granted {
        access_token: access_token.as_str().into(),
        unverified_id_token: answered.extra_fields().id_token.as_deref().map(Into::into),
    })
}

fn refusal(error: RequestTokenError<UpstreamError, BasicErrorResponse>) -> UpstreamError {
    match error {
        RequestTokenError::ServerResponse(answer) => {
            UpstreamError::CodeRejected { error: printable(answer.error().as_ref()) }
        }
        RequestTokenError::Request(error) => error,
        RequestTokenError::Parse(..) => {
            Endpoint::Token.bad("access_token, token_type or id_token is missing or has the wrong type")
        }
        RequestTokenError::Other(_) => Endpoint::Token.bad("the exchange could not be made"),
    }
}

/// Our client in the shape that the `oauth2` crate asks for.
struct TokenEndpoint(Outbound);

impl<'c> AsyncHttpClient<'c> for TokenEndpoint {
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, UpstreamError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(call(&self.0, request))
    }
}

async fn call(http: &Outbound, request: HttpRequest) -> Result<HttpResponse, UpstreamError> {
    let mut request =
        reqwest::Request::try_from(request).map_err(|_| Endpoint::Token.bad("its address cannot be used"))?;
    if let Some(credentials) = request.headers_mut().get_mut(AUTHORIZATION) {
        credentials.set_sensitive(true);
    }
    plain(&http.send(Endpoint::Token, request).await?)
}

/// The answer as RFC 6749 describes it: either the members of 5.1 with status 200, or the `error` of 5.2 with 400.
fn plain(answer: &Answer) -> Result<HttpResponse, UpstreamError> {
    let not_an_answer = || Endpoint::Token.bad(format_args!("status {}", answer.status));
    if answer.status != 200 && !(400..500).contains(&answer.status) {
        return Err(not_an_answer());
    }
    let members = match members(answer) {
        Err(_) if answer.status != 200 => return Err(not_an_answer()),
        read => read?,
    };
    let (status, kept) = match members.get("error") {
        Some(Value::String(error)) if !error.is_empty() => {
            (StatusCode::BAD_REQUEST, json!({ "error": error }))
        }
        None | Some(Value::Null) if answer.status == 200 => {
            let used = |name: &&str| ["access_token", "token_type", "id_token"].contains(name);
            let kept = members.iter().filter(|(name, value)| used(&name.as_str()) && !value.is_null());
            (StatusCode::OK, kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        _ => return Err(not_an_answer()),
    };
    let mut response = HttpResponse::new(kept.to_string().into_bytes());
    *response.status_mut() = status;
    Ok(response)
}

fn members(answer: &Answer) -> Result<Map<String, Value>, UpstreamError> {
    if answer.media_type != "application/x-www-form-urlencoded" {
        return json::object(&answer.body).map_err(|error| Endpoint::Token.bad(error));
    }
    let mut members = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(&answer.body) {
        match members.entry(name.into_owned()) {
            Entry::Vacant(place) => place.insert(Value::String(value.into_owned())),
            Entry::Occupied(_) => return Err(Endpoint::Token.bad("it has two members of one name")),
        };
    }
    Ok(members.into_iter().collect())
}

/// Whether the token endpoint knew us by our credentials, if its answer tells (RFC 6749 5.2; `invalid_code` and
/// `bad_verification_code` are what some say for `invalid_grant`).
pub(crate) fn accepts_client<T>(answer: &Result<T, UpstreamError>) -> Option<bool> {
    match answer {
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

    fn read(status: u16, media_type: &str, body: &str) -> Result<Granted, UpstreamError> {
        let answer = Answer {
            status,
            media_type: media_type.to_owned(),
            location: None,
            set_cookies: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        let response = plain(&answer)?;
        if response.status() == StatusCode::OK {
            let answered = serde_json::from_slice(response.body());
            return granted(&answered.map_err(|_| Endpoint::Token.bad("parse"))?);
        }
        let refused: BasicErrorResponse = serde_json::from_slice(response.body()).unwrap();
        Err(refusal(RequestTokenError::ServerResponse(refused)))
    }

    #[test]
    fn m18_m36_q_x_11_answers_of_the_token_endpoint_are_read_strictly_and_without_fuss() {
        let (json, form) = ("application/json", "application/x-www-form-urlencoded");
        let granted = |id_token: Option<&str>| Ok(("at".to_owned(), id_token.map(str::to_owned)));
        let bad = || Err("idp_bad_response");
        let rejected = || Err("code_rejected");
        for (status, kind, body, expected) in [
            (200, json, r#"{"access_token":"at","token_type":"Bearer"}"#, granted(None)),
            (200, json, r#"{"access_token":"at","token_type":"bearer","id_token":"i"}"#, granted(Some("i"))),
            (200, json, r#"{"access_token":"at","token_type":"BEARER","id_token":null}"#, granted(None)),
            (200, "text/plain", r#"{"access_token":"at","token_type":"Bearer"}"#, granted(None)),
            (200, "", "\u{feff}{\"access_token\":\"at\",\"token_type\":\"Bearer\"}", granted(None)),
            (200, json, r#"{"access_token":"at","token_type":"Bearer","expires_in":"3599"}"#, granted(None)),
            (
                200,
                json,
                r#"{"access_token":"at","token_type":"Bearer","expires_in":-5,"scope":7}"#,
                granted(None),
            ),
            (200, json, r#"{"access_token":"at","token_type":"Bearer","error":null}"#, granted(None)),
            (200, form, "access_token=at&scope=&token_type=bearer", granted(None)),
            // M04, M36, L04
            (200, json, r#"{"access_token":"at","token_type":"Bearer","access_token":"b"}"#, bad()),
            (200, form, "access_token=at&token_type=bearer&access_token=b", bad()),
            (200, json, r#"{"access_token":"at","token_type":"Bearer"}{}"#, bad()),
            (200, json, r#"{"access_token":"at","token_type":"DPoP"}"#, bad()),
            (200, json, r#"{"access_token":"at","token_type":""}"#, bad()),
            (200, json, r#"{"access_token":"at","token_type":7}"#, bad()),
            (200, json, r#"{"access_token":"at"}"#, bad()),
            (200, json, r#"{"access_token":"","token_type":"Bearer"}"#, bad()),
            (200, json, r#"{"access_token":"a t","token_type":"Bearer"}"#, bad()),
            (200, json, r#"{"access_token":"a\nt","token_type":"Bearer"}"#, bad()),
            (200, json, r#"{"access_token":7,"token_type":"Bearer"}"#, bad()),
            (200, json, r#"{"access_token":"at","token_type":"Bearer","id_token":7}"#, bad()),
            (200, json, r#"{"token_type":"Bearer"}"#, bad()),
            (200, json, "", bad()),
            (200, json, "[]", bad()),
            (200, "text/html", "<html>", bad()),
            // Refusals, GitHub's with status 200 among them.
            (400, json, r#"{"error":"invalid_grant","error_description":"x"}"#, rejected()),
            (401, json, r#"{"error":"invalid_client"}"#, rejected()),
            (200, json, r#"{"error":"bad_verification_code"}"#, rejected()),
            (200, form, "error=bad_verification_code", rejected()),
            (200, json, r#"{"error":"invalid_grant","access_token":"at","token_type":"Bearer"}"#, rejected()),
            (400, json, r#"{"access_token":"at","token_type":"Bearer"}"#, bad()),
            (400, json, r#"{"error":7}"#, bad()),
            (200, json, r#"{"error":["x"],"access_token":"at","token_type":"Bearer"}"#, bad()),
            (404, "text/html", "<html>", bad()),
            (500, json, r#"{"error":"server_error"}"#, bad()),
            (302, json, r#"{"access_token":"at","token_type":"Bearer"}"#, bad()),
            (201, json, r#"{"access_token":"at","token_type":"Bearer"}"#, bad()),
        ] {
            let text = |secret: &SecretString| secret.expose_secret().to_owned();
            let received = read(status, kind, body)
                .map(|got| (text(&got.access_token), got.unverified_id_token.as_ref().map(text)))
                .map_err(|error| error.code().as_str());
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
            let error = read(200, "application/json", body).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("4242"), "{error:?}");
        }
        let error = read(400, "", r#"{"error":"a\r\n\u001b[31m\u2028b"}"#).unwrap_err();
        assert!(!error.to_string().contains(['\r', '\n', '\u{1b}', '\u{2028}']), "{error}");
    }
}
