//! The authorization endpoint: checks the request, lets a person choose who they are, sends the browser back.

use std::sync::Arc;

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use url::form_urlencoded;
use uuid::Uuid;

use crate::config::{Client, ClientAuth, Person, RealmKind};
use crate::grants::{Binding, Consent, Scope, is_pkce_text};
use crate::knobs::{AutoLogin, IssKnob, StateKnob};
use crate::pages;
use crate::params::Params;
use crate::realm::Realm;
use crate::traffic::Endpoint;
use crate::world::InRealm;

/// The most people listed on the page.
const MOST_LISTED: usize = 50;

/// A browser arrives.
pub(crate) async fn arrive(InRealm(realm): InRealm, request: HttpRequest) -> HttpResponse {
    realm.traffic.record(Endpoint::Authorize, &request, &[]);
    let checked = Params::parse(request.query_string().as_bytes())
        .map_err(|_| Fault::Page("A parameter came twice."))
        .and_then(|params| Ok((AuthorizeRequest::check(&realm, &params)?, params)));
    let (ask, params) = match checked {
        Ok(checked) => checked,
        Err(fault) => return fault.answer(&realm),
    };
    let knobs = realm.current_knobs();
    if let Some(error) = &knobs.authorize.error {
        return ask.back.refuse(&realm, error);
    }
    match &knobs.authorize.auto_login {
        AutoLogin::As(sub) => resolve(&realm, ask, realm.find_person(sub)),
        AutoLogin::NewPersonEachTime => {
            let visitor = realm.new_visitor();
            resolve(&realm, ask, Some(visitor))
        }
        // Nobody is ever signed in here beforehand (OIDC Core 3.1.2.6).
        AutoLogin::ShowLogin if ask.silent => ask.back.refuse(&realm, "login_required"),
        AutoLogin::ShowLogin => pages::login(&realm, &ask, &realm.people(MOST_LISTED), &params),
    }
}

/// A person chose on the page. The form carries the whole request again, and it is checked again.
pub(crate) async fn choose(InRealm(realm): InRealm, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    realm.traffic.record(Endpoint::Choice, &request, &body);
    let checked = Params::parse(&body)
        .map_err(|_| Fault::Page("A parameter came twice."))
        .and_then(|params| Ok((AuthorizeRequest::check(&realm, &params)?, params)));
    match checked {
        Ok((ask, params)) if params.find("deny").is_some() => ask.back.refuse(&realm, "access_denied"),
        Ok((ask, params)) => {
            resolve(&realm, ask, params.find("person").and_then(|sub| realm.find_person(sub)))
        }
        Err(fault) => fault.answer(&realm),
    }
}

fn resolve(realm: &Realm, ask: AuthorizeRequest, person: Option<Arc<Person>>) -> HttpResponse {
    let Some(person) = person else { return ask.back.refuse(realm, "access_denied") };
    let now = realm.now();
    let consent = Consent {
        client_id: ask.client.id.clone(),
        person,
        scope: ask.scope,
        nonce: ask.nonce,
        auth_time: now,
        sid: Uuid::new_v4().simple().to_string(),
    };
    let binding = Binding { redirect_uri: ask.back.redirect_uri.clone(), challenge: ask.challenge };
    let code = realm.grants.issue_code(consent, binding, now);
    ask.back.admit(realm, code)
}

/// A request that passed every check.
pub(crate) struct AuthorizeRequest {
    pub(crate) client: Arc<Client>,
    pub(crate) scope: Scope,
    pub(crate) back: WayBack,
    nonce: Option<String>,
    challenge: Option<String>,
    silent: bool,
}

impl AuthorizeRequest {
    /// Client and redirect URI first: before they are known to be good, nothing may be sent to the redirect URI (RFC 6749, 4.1.2.1).
    fn check(realm: &Realm, params: &Params) -> Result<Self, Fault> {
        let client = params.find("client_id").and_then(|id| realm.find_client(id));
        let client = client.ok_or(Fault::Page("This client is not registered here."))?;
        let redirect_uri = params
            .find("redirect_uri")
            .filter(|uri| client.redirect_uris.iter().any(|known| known == uri))
            .ok_or(Fault::Page("This redirect URI is not registered for the client."))?;
        let form_post = params.find("response_mode") == Some("form_post");
        let state = params.find("state").map(str::to_owned);
        let back = WayBack { redirect_uri: redirect_uri.to_owned(), state, form_post };
        match Self::check_rest(&client, params) {
            Ok(challenge) => Ok(Self {
                client,
                scope: Scope::parse(params.find("scope").unwrap_or_default()),
                back,
                nonce: params.find("nonce").map(str::to_owned),
                challenge,
                silent: params.find("prompt") == Some("none"),
            }),
            Err(error) => Err(Fault::Redirect { back, error }),
        }
    }

    /// The S256 challenge, if there is one, or the error to send back.
    fn check_rest(client: &Client, params: &Params) -> Result<Option<String>, &'static str> {
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
            // An absent method means "plain" (RFC 7636, 4.3), which is not offered.
            (Some(_), _) | (None, Some(_)) => Err("invalid_request"),
            (None, None) if client.pkce_required || client.auth == ClientAuth::Public => {
                Err("invalid_request")
            }
            (None, None) => Ok(None),
        }
    }
}

enum Fault {
    Page(&'static str),
    Redirect { back: WayBack, error: &'static str },
}

impl Fault {
    fn answer(&self, realm: &Realm) -> HttpResponse {
        match self {
            Self::Page(sentence) => pages::refusal(realm, sentence),
            Self::Redirect { back, error } => back.refuse(realm, error),
        }
    }
}

/// Where the browser goes with the result.
pub(crate) struct WayBack {
    pub(crate) redirect_uri: String,
    state: Option<String>,
    form_post: bool,
}

impl WayBack {
    fn admit(&self, realm: &Realm, code: String) -> HttpResponse {
        let code = realm.current_knobs().authorize.code.clone().unwrap_or(code);
        self.send(realm, vec![("code".to_owned(), code)])
    }

    fn refuse(&self, realm: &Realm, error: &str) -> HttpResponse {
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
            IssKnob::Honest => (realm.kind() == RealmKind::Oidc).then(|| realm.issuer().to_owned()),
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

/// Appends to whatever query the URI has, leaving every byte of it as registered.
pub(crate) fn with_query(uri: &str, pairs: &[(String, String)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let joint = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{joint}{query}")
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
