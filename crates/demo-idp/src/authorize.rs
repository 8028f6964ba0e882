//! The authorization endpoint: validates the request, shows the login page and redirects the browser to the
//! client.

use std::sync::Arc;

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use url::{Url, form_urlencoded};

use crate::config::{Client, ClientAuth, Person, RealmKind};
use crate::grants::{Binding, Consent, Scope, is_pkce_text};
use crate::knobs::{AutoLogin, IssKnob, StateKnob};
use crate::pages::{self, LoginPrompt};
use crate::params::Params;
use crate::random::random_id;
use crate::realm::Realm;
use crate::state::RealmFromPath;
use crate::traffic::Endpoint;

/// The maximum number of people on the login page.
const MAX_LISTED_PEOPLE: usize = 50;

/// `GET /authorize`: shows the login page, or completes the login if the knobs select a person.
pub(crate) async fn show_login(RealmFromPath(realm): RealmFromPath, http: HttpRequest) -> HttpResponse {
    realm.traffic.record(Endpoint::Authorize, &http, &[]);
    let (request, params) = match AuthorizeRequest::parse(&realm, http.query_string().as_bytes()) {
        Ok(parsed) => parsed,
        Err(error) => return error.response(&realm),
    };
    let knobs = realm.current_knobs();
    if let Some(error) = &knobs.authorize.error {
        return request.target.send_error(&realm, error);
    }
    match &knobs.authorize.auto_login {
        AutoLogin::As(sub) => complete_login(&realm, request, realm.find_person(sub)),
        AutoLogin::NewPersonEachTime => {
            let visitor = realm.new_visitor();
            complete_login(&realm, request, Some(visitor))
        }
        // The provider has no sessions, so `prompt=none` always fails (OIDC Core 3.1.2.6).
        AutoLogin::ShowLogin if request.prompt_none => request.target.send_error(&realm, "login_required"),
        AutoLogin::ShowLogin => login_page(&realm, &request, &params),
    }
}

/// `POST /authorize`: completes the login for the chosen person.
///
/// The form contains the parameters of the authorization request, which are validated again.
pub(crate) async fn choose_person(
    RealmFromPath(realm): RealmFromPath,
    http: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    realm.traffic.record(Endpoint::Choice, &http, &body);
    match AuthorizeRequest::parse(&realm, &body) {
        Ok((request, params)) if params.find("deny").is_some() => {
            request.target.send_error(&realm, "access_denied")
        }
        Ok((request, params)) => {
            let person = params.find("person").and_then(|sub| realm.find_person(sub));
            complete_login(&realm, request, person)
        }
        Err(error) => error.response(&realm),
    }
}

fn login_page(realm: &Realm, request: &AuthorizeRequest, params: &Params) -> HttpResponse {
    let origin = Url::parse(&request.target.redirect_uri).map(|uri| uri.origin().ascii_serialization());
    let prompt = LoginPrompt {
        client: origin.unwrap_or_else(|_| request.client.id.clone()),
        scopes: request.scope.values(),
        fields: params.without(&["person", "deny"]),
    };
    pages::login(realm, prompt, &realm.people(MAX_LISTED_PEOPLE))
}

fn complete_login(realm: &Realm, request: AuthorizeRequest, person: Option<Arc<Person>>) -> HttpResponse {
    let Some(person) = person else { return request.target.send_error(realm, "access_denied") };
    let now = realm.now();
    let consent = Consent {
        client_id: request.client.id.clone(),
        person,
        scope: request.scope,
        nonce: request.nonce,
        auth_time: now,
        sid: random_id().simple().to_string(),
    };
    let binding = Binding { redirect_uri: request.target.redirect_uri.clone(), challenge: request.challenge };
    let code = realm.grants.issue_code(consent, binding, now);
    request.target.send_code(realm, code)
}

/// A validated authorization request.
struct AuthorizeRequest {
    client: Arc<Client>,
    scope: Scope,
    target: ResponseTarget,
    nonce: Option<String>,
    challenge: Option<String>,
    prompt_none: bool,
}

impl AuthorizeRequest {
    /// Decodes and validates the parameters of a query or a form.
    fn parse(realm: &Realm, encoded: &[u8]) -> Result<(Self, Params), RequestError> {
        let params = Params::parse(encoded).map_err(|_| RequestError::Page(pages::REPEATED_PARAMETER))?;
        Ok((Self::validate(realm, &params)?, params))
    }

    /// Validates the client and the redirect URI first.
    ///
    /// Without a valid redirect URI no response may be sent to it (RFC 6749, 4.1.2.1).
    fn validate(realm: &Realm, params: &Params) -> Result<Self, RequestError> {
        let client = params.find("client_id").and_then(|id| realm.find_client(id));
        let client = client.ok_or(RequestError::Page("This client is not registered."))?;
        let redirect_uri = params
            .find("redirect_uri")
            .filter(|uri| client.redirect_uris.iter().any(|known| known == uri))
            .ok_or(RequestError::Page("This redirect URI is not registered for the client."))?;
        let form_post = params.find("response_mode") == Some("form_post");
        let state = params.find("state").map(str::to_owned);
        let target = ResponseTarget { redirect_uri: redirect_uri.to_owned(), state, form_post };
        match validate_parameters(&client, params) {
            Ok(challenge) => Ok(Self {
                client,
                scope: Scope::parse(params.find("scope").unwrap_or_default()),
                target,
                nonce: params.find("nonce").map(str::to_owned),
                challenge,
                prompt_none: params.find("prompt") == Some("none"),
            }),
            Err(error) => Err(RequestError::Redirect { target, error }),
        }
    }
}

/// The S256 challenge, if the request has one, or the error code for the client.
fn validate_parameters(client: &Client, params: &Params) -> Result<Option<String>, &'static str> {
    match params.find("response_type") {
        Some("code") => {}
        Some(_) => return Err("unsupported_response_type"),
        None => return Err("invalid_request"),
    }
    if !matches!(params.find("response_mode"), None | Some("query" | "form_post")) {
        return Err("invalid_request");
    }
    if params.find("request").is_some() {
        return Err("request_not_supported");
    }
    if params.find("request_uri").is_some() {
        return Err("request_uri_not_supported");
    }
    match (params.find("code_challenge"), params.find("code_challenge_method")) {
        (Some(challenge), Some("S256")) if is_pkce_text(challenge) => Ok(Some(challenge.to_owned())),
        // An absent method means "plain" (RFC 7636, 4.3), which the provider does not support.
        (Some(_), _) | (None, Some(_)) => Err("invalid_request"),
        (None, None) if client.pkce_required || client.auth == ClientAuth::Public => Err("invalid_request"),
        (None, None) => Ok(None),
    }
}

/// An invalid authorization request, by the way the error is reported.
enum RequestError {
    /// An error page, because the redirect URI is not valid.
    Page(&'static str),
    /// An error response to the client.
    Redirect { target: ResponseTarget, error: &'static str },
}

impl RequestError {
    fn response(&self, realm: &Realm) -> HttpResponse {
        match self {
            Self::Page(message) => pages::error(realm, message),
            Self::Redirect { target, error } => target.send_error(realm, error),
        }
    }
}

/// The redirect URI, the `state` and the response mode of the authorization response.
struct ResponseTarget {
    redirect_uri: String,
    state: Option<String>,
    form_post: bool,
}

impl ResponseTarget {
    fn send_code(&self, realm: &Realm, code: String) -> HttpResponse {
        let code = realm.current_knobs().authorize.code.clone().unwrap_or(code);
        self.send(realm, vec![("code".to_owned(), code)])
    }

    fn send_error(&self, realm: &Realm, error: &str) -> HttpResponse {
        let description = "The demo identity provider did not sign anyone in.".to_owned();
        let pairs = [("error".to_owned(), error.to_owned()), ("error_description".to_owned(), description)];
        self.send(realm, pairs.to_vec())
    }

    fn send(&self, realm: &Realm, mut pairs: Vec<(String, String)>) -> HttpResponse {
        let knobs = realm.current_knobs();
        let state = match &knobs.authorize.state {
            StateKnob::Echo => self.state.clone(),
            StateKnob::Drop => None,
            StateKnob::Replace(other) => Some(other.clone()),
        };
        let iss = match &knobs.authorize.iss {
            IssKnob::Correct => (realm.kind() == RealmKind::Oidc).then(|| realm.issuer().to_owned()),
            IssKnob::Omit => None,
            IssKnob::Send(other) => Some(other.clone()),
        };
        pairs.extend(state.map(|value| ("state".to_owned(), value)));
        pairs.extend(iss.map(|value| ("iss".to_owned(), value)));
        pairs.extend(knobs.authorize.extra.iter().cloned());
        if self.form_post {
            return pages::form_post(&self.redirect_uri, &pairs);
        }
        HttpResponse::SeeOther()
            .insert_header((LOCATION, with_query(&self.redirect_uri, &pairs)))
            .insert_header(("Cache-Control", "no-store"))
            .insert_header(("Referrer-Policy", "no-referrer"))
            .finish()
    }
}

/// Appends parameters to the URI. The existing bytes of the URI stay unchanged.
pub(crate) fn with_query(uri: &str, pairs: &[(String, String)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_kept_and_extended() {
        let pairs = [("code".to_owned(), "a b&c".to_owned())];
        assert_eq!(with_query("http://x", &pairs), "http://x?code=a+b%26c");
        assert_eq!(with_query("http://x/?p=1", &pairs), "http://x/?p=1&code=a+b%26c");
    }
}
