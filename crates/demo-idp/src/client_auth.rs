//! Client authentication at the token endpoint: exactly the registered method, and only that one (RFC 6749, 2.3).

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

/// RFC 7523 2.2.
const STATEMENT_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The client was not who it should be: `invalid_client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidClient {
    /// It tried the `Authorization` header, so the answer must name a scheme (RFC 6749, 5.2).
    pub(crate) by_header: bool,
}

/// The client that sent a token request.
pub(crate) fn authenticate(
    realm: &Realm,
    request: &HttpRequest,
    body: &Params,
) -> Result<Arc<Client>, InvalidClient> {
    let by_header = request.headers().contains_key(AUTHORIZATION);
    let refused = InvalidClient { by_header };
    let presented = Presented::read(request, body).ok_or(refused)?;
    let client = realm.find_client(&presented.client_id).ok_or(refused)?;
    if presented.proves(&client.auth, Some(realm)) { Ok(client) } else { Err(refused) }
}

struct Presented {
    client_id: String,
    proof: Proof,
}

enum Proof {
    Nothing,
    Header(String),
    Body(String),
    Statement(String),
}

impl Presented {
    /// `None` for no identifier, an ill-formed header, two headers, two methods at once, or two identifiers that differ.
    fn read(request: &HttpRequest, body: &Params) -> Option<Self> {
        let in_body = body.find("client_id");
        let secret = body.find("client_secret");
        let statement = body.find("client_assertion").map(str::to_owned);
        if statement.is_some() != (body.find("client_assertion_type") == Some(STATEMENT_TYPE)) {
            return None;
        }
        let mut headers = request.headers().get_all(AUTHORIZATION);
        match (headers.next(), headers.next(), secret) {
            (None, _, None) => {
                let proof = statement.map_or(Proof::Nothing, Proof::Statement);
                Some(Self { client_id: in_body?.to_owned(), proof })
            }
            (_, _, _) if statement.is_some() => None,
            (None, _, Some(secret)) => {
                Some(Self { client_id: in_body?.to_owned(), proof: Proof::Body(secret.to_owned()) })
            }
            (Some(header), None, None) => {
                let (client_id, secret) = read_basic(header.to_str().ok()?)?;
                let agreed = in_body.is_none_or(|id| id == client_id);
                agreed.then_some(Self { client_id, proof: Proof::Header(secret) })
            }
            (Some(_), _, _) => None,
        }
    }

    fn proves(&self, auth: &ClientAuth, realm: Option<&Realm>) -> bool {
        match (auth, &self.proof) {
            (ClientAuth::Public, Proof::Nothing) => true,
            (ClientAuth::Basic(secrets), Proof::Header(secret))
            | (ClientAuth::Post(secrets), Proof::Body(secret)) => any_is(secrets, secret),
            (ClientAuth::PrivateKey(point), Proof::Statement(statement)) => {
                realm.is_some_and(|realm| assertion::is_good(realm, &self.client_id, point, statement))
            }
            (
                ClientAuth::Public | ClientAuth::Basic(_) | ClientAuth::Post(_) | ClientAuth::PrivateKey(_),
                _,
            ) => false,
        }
    }
}

fn any_is(secrets: &[String], presented: &str) -> bool {
    secrets.iter().any(|secret| verify_slices_are_equal(secret.as_bytes(), presented.as_bytes()).is_ok())
}

/// `Basic`, with identifier and secret form-encoded before they were joined (RFC 6749, 2.3.1).
fn read_basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

/// Undoes form encoding of one value. Letters that form encoding would have escaped are refused: whoever sent them did not encode.
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
        assert_eq!(read_basic(&basic("a%3Ab:p%25q+%C3%A4%2B")), both("a:b", "p%q ä+"));
        assert_eq!(read_basic(&basic("id:")), both("id", ""));
        assert_eq!(read_basic(&basic("id:a:b")), None);
        assert_eq!(read_basic(&basic("id")), None);
        assert_eq!(read_basic("Bearer abc"), None);
        assert_eq!(read_basic("Basic %%%"), None);
    }

    #[test]
    fn only_the_registered_method_counts() {
        let proves = |header: Option<&str>, form: &str, auth: &ClientAuth| {
            let mut request = TestRequest::post();
            if let Some(header) = header {
                request = request.insert_header((AUTHORIZATION, header));
            }
            let params = Params::parse(form.as_bytes()).ok();
            params
                .and_then(|params| Presented::read(&request.to_http_request(), &params))
                .is_some_and(|presented| presented.proves(auth, None))
        };
        let (header, other) = (basic("id:right"), basic("id:wrong"));
        let basic_auth = ClientAuth::Basic(vec!["old".into(), "right".into()]);
        let post_auth = ClientAuth::post("right");
        assert!(proves(Some(&header), "", &basic_auth));
        assert!(proves(Some(&header), "client_id=id", &basic_auth));
        assert!(!proves(Some(&other), "", &basic_auth));
        assert!(!proves(Some(&header), "client_id=other", &basic_auth));
        assert!(!proves(Some(&header), "client_id=id&client_secret=right", &basic_auth));
        assert!(!proves(None, "client_id=id&client_secret=right", &basic_auth));
        assert!(!proves(None, "client_id=id", &basic_auth));
        assert!(proves(None, "client_id=id&client_secret=right", &post_auth));
        assert!(!proves(None, "client_id=id&client_secret=wrong", &post_auth));
        assert!(!proves(Some(&header), "", &post_auth));
        assert!(proves(None, "client_id=id", &ClientAuth::Public));
        assert!(!proves(None, "client_id=id&client_secret=right", &ClientAuth::Public));
        assert!(!proves(Some(&header), "", &ClientAuth::Public));
    }
}
