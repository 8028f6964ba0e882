//! Client authentication at the token endpoint: only the registered method is accepted (RFC 6749, 2.3).

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded;

use crate::assertion;
use crate::config::{Client, ClientAuth};
use crate::params::Params;
use crate::realm::Realm;

/// The `client_assertion_type` of a JWT assertion (RFC 7523, 2.2).
const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Client authentication failed: `invalid_client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidClient {
    /// The request has an `Authorization` header, so the response must name a scheme (RFC 6749, 5.2).
    pub(crate) used_header: bool,
}

/// Authenticates the client of a token request.
pub(crate) fn authenticate(
    realm: &Realm,
    request: &HttpRequest,
    body: &Params,
) -> Result<Arc<Client>, InvalidClient> {
    let used_header = request.headers().contains_key(AUTHORIZATION);
    let refused = InvalidClient { used_header };
    let presented = PresentedCredentials::from_request(request, body).ok_or(refused)?;
    let client = realm.find_client(&presented.client_id).ok_or(refused)?;
    if presented.matches(&client.auth, Some(realm)) { Ok(client) } else { Err(refused) }
}

/// The client identifier and the proof in a token request.
struct PresentedCredentials {
    client_id: String,
    proof: Proof,
}

/// The proof of the client's identity, by authentication method.
enum Proof {
    None,
    Header(String),
    Body(String),
    Assertion(String),
}

impl PresentedCredentials {
    /// Parses the credentials of a request.
    ///
    /// The result is `None` for a missing identifier, a malformed header, two headers, two methods at once,
    /// or two different identifiers.
    fn from_request(request: &HttpRequest, body: &Params) -> Option<Self> {
        let body_client_id = body.find("client_id");
        let secret = body.find("client_secret");
        let client_assertion = body.find("client_assertion").map(str::to_owned);
        if client_assertion.is_some() != (body.find("client_assertion_type") == Some(CLIENT_ASSERTION_TYPE)) {
            return None;
        }
        let mut headers = request.headers().get_all(AUTHORIZATION);
        match (headers.next(), headers.next(), secret) {
            (None, _, None) => {
                let proof = client_assertion.map_or(Proof::None, Proof::Assertion);
                Some(Self { client_id: body_client_id?.to_owned(), proof })
            }
            (_, _, _) if client_assertion.is_some() => None,
            (None, _, Some(secret)) => {
                Some(Self { client_id: body_client_id?.to_owned(), proof: Proof::Body(secret.to_owned()) })
            }
            (Some(header), None, None) => {
                let (client_id, secret) = parse_basic(header.to_str().ok()?)?;
                let consistent = body_client_id.is_none_or(|id| id == client_id);
                consistent.then_some(Self { client_id, proof: Proof::Header(secret) })
            }
            (Some(_), _, _) => None,
        }
    }

    /// Whether the proof fits the registered method. `realm` is needed for assertions only.
    fn matches(&self, auth: &ClientAuth, realm: Option<&Realm>) -> bool {
        match (auth, &self.proof) {
            (ClientAuth::Public, Proof::None) => true,
            (ClientAuth::Basic(secrets), Proof::Header(secret))
            | (ClientAuth::Post(secrets), Proof::Body(secret)) => contains_secret(secrets, secret),
            (ClientAuth::PrivateKey(public_key), Proof::Assertion(assertion)) => {
                realm.is_some_and(|realm| assertion::is_valid(realm, &self.client_id, public_key, assertion))
            }
            (
                ClientAuth::Public | ClientAuth::Basic(_) | ClientAuth::Post(_) | ClientAuth::PrivateKey(_),
                _,
            ) => false,
        }
    }
}

/// Whether the presented secret equals one of these; each comparison takes constant time.
fn contains_secret(secrets: &[String], presented: &str) -> bool {
    secrets.iter().any(|secret| verify_slices_are_equal(secret.as_bytes(), presented.as_bytes()).is_ok())
}

/// Parses a `Basic` header whose identifier and secret are form-encoded (RFC 6749, 2.3.1).
fn parse_basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

/// Decodes one form-encoded value. Characters that form encoding escapes are refused: the value is not
/// encoded.
fn form_decode(encoded: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._+%~".contains(&byte);
    if !encoded.bytes().all(plain) {
        return None;
    }
    let field = format!("v={encoded}");
    form_urlencoded::parse(field.as_bytes()).next().map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn basic_credentials_are_form_decoded() {
        let both = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(parse_basic(&basic("a%3Ab:p%25q+%C3%A4%2B")), both("a:b", "p%q ä+"));
        assert_eq!(parse_basic(&basic("id:")), both("id", ""));
        assert_eq!(parse_basic(&basic("id:a:b")), None);
        assert_eq!(parse_basic(&basic("id")), None);
        assert_eq!(parse_basic("Bearer abc"), None);
        assert_eq!(parse_basic("Basic %%%"), None);
    }

    #[test]
    fn only_the_registered_method_counts() {
        let accepted = |header: Option<&str>, form: &str, auth: &ClientAuth| {
            let mut request = TestRequest::post();
            if let Some(header) = header {
                request = request.insert_header((AUTHORIZATION, header));
            }
            let params = Params::parse(form.as_bytes()).ok();
            params
                .and_then(|params| PresentedCredentials::from_request(&request.to_http_request(), &params))
                .is_some_and(|presented| presented.matches(auth, None))
        };
        let (header, other) = (basic("id:right"), basic("id:wrong"));
        let basic_auth = ClientAuth::Basic(vec!["old".into(), "right".into()]);
        let post_auth = ClientAuth::post("right");
        assert!(accepted(Some(&header), "", &basic_auth));
        assert!(accepted(Some(&header), "client_id=id", &basic_auth));
        assert!(!accepted(Some(&other), "", &basic_auth));
        assert!(!accepted(Some(&header), "client_id=other", &basic_auth));
        assert!(!accepted(Some(&header), "client_id=id&client_secret=right", &basic_auth));
        assert!(!accepted(None, "client_id=id&client_secret=right", &basic_auth));
        assert!(!accepted(None, "client_id=id", &basic_auth));
        assert!(accepted(None, "client_id=id&client_secret=right", &post_auth));
        assert!(!accepted(None, "client_id=id&client_secret=wrong", &post_auth));
        assert!(!accepted(Some(&header), "", &post_auth));
        assert!(accepted(None, "client_id=id", &ClientAuth::Public));
        assert!(!accepted(None, "client_id=id&client_secret=right", &ClientAuth::Public));
        assert!(!accepted(Some(&header), "", &ClientAuth::Public));
    }
}
