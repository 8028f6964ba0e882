//! Forward authentication: a proxy asks whether a request may pass, and for which account.
//!
//! Only the access token decides. Request headers with the names of the response's headers are never read.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use portico_core::error::SessionError;
use portico_core::flow::SignedIn;
use portico_core::token::groups_of;

use crate::error::{ApiError, Cause};
use crate::request::credentials::Credentials;
use crate::request::query::once;
use crate::state::Portico;
use crate::urls;

/// The longest list of required roles or groups, in bytes.
const LONGEST_LIST: usize = 4 * 1024;

/// The most bytes of all headers of a response: what proxies accept by default.
const MOST_BYTES: usize = 8 * 1024;

/// Room for the status line, security headers and request identifier.
const OTHER_HEADERS: usize = 1024;

/// The roles and groups that a request needs: one of each list that is given.
struct Required {
    roles: Option<Vec<String>>,
    groups: Option<Vec<String>>,
}

impl Required {
    fn parse(query: &str) -> Result<Self, Cause> {
        let list = |name| {
            let text = once(query, name, LONGEST_LIST).map_err(Cause::BadRequest)?;
            Ok::<_, Cause>(text.map(|text| text.split(',').map(|one| one.trim().to_owned()).collect()))
        };
        Ok(Self { roles: list("roles")?, groups: list("groups")? })
    }

    fn are_met(&self, roles: &[String], groups: &[String]) -> bool {
        // No account has a role or group with an empty name.
        let has =
            |own: &[String], needed: &[String]| needed.iter().any(|one| !one.is_empty() && own.contains(one));
        self.roles.as_ref().is_none_or(|needed| has(roles, needed))
            && self.groups.as_ref().is_none_or(|needed| has(groups, needed))
    }
}

/// Any method of `/auth/verify` and of everything below it.
pub(crate) async fn verify(
    portico: Data<Portico>,
    request: HttpRequest,
    credentials: Credentials,
) -> Result<HttpResponse, ApiError> {
    let required = Required::parse(request.query_string())?;
    let broker = portico.broker();
    let found = async {
        let access = credentials.access()?;
        Ok((access, broker.sessions().signed_in(access).await?))
    };
    let (access, signed_in) = found.await.map_err(|error| match error {
        SessionError::Invalid(why) => {
            Cause::Unverified { why, login_url: urls::login_page(broker.public_url()) }
        }
        other => other.into(),
    })?;
    let roles = broker.sessions().roles(&signed_in.entry);
    let groups = groups_of(&signed_in.entry).unwrap_or_default();
    if !required.are_met(&roles, &groups) {
        return Err(Cause::Forbidden.into());
    }
    Ok(pass_response(access, &signed_in, &roles))
}

/// The response for a request that may pass: always all five headers. The groups are the token's, as many as
/// fit into the header.
fn pass_response(access: &str, signed_in: &SignedIn, roles: &[String]) -> HttpResponse {
    let account = &signed_in.entry.account;
    let email = account.email.as_ref().map(|email| email.address.as_str()).unwrap_or_default();
    let bearer = format!("Bearer {access}");
    let mut headers = vec![
        (HeaderName::from_static("x-auth-request-user"), encoded(&account.name)),
        (HeaderName::from_static("x-auth-request-account"), account.id.to_string()),
        (HeaderName::from_static("x-auth-request-email"), encoded(email)),
        (HeaderName::from_static("x-auth-request-roles"), list(roles.iter(), usize::MAX)),
        (header::AUTHORIZATION, bearer),
    ];
    let used: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let name = HeaderName::from_static("x-auth-request-groups");
    let room = (MOST_BYTES - OTHER_HEADERS).saturating_sub(used + name.as_str().len() + 4);
    headers.push((name, list(signed_in.claims.groups.iter().flatten(), room)));
    let mut answer = HttpResponse::Ok();
    for (name, value) in headers {
        // All bytes except visible ASCII are encoded.
        if let Ok(value) = HeaderValue::try_from(value) {
            answer.insert_header((name, value));
        }
    }
    answer.finish()
}

/// Names separated by commas, as many from the beginning as fit into `room` bytes.
fn list<'a>(names: impl Iterator<Item = &'a String>, room: usize) -> String {
    let mut text = String::new();
    for name in names.map(|name| encoded(name)) {
        if text.len() + name.len() + 1 > room {
            break;
        }
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&name);
    }
    text
}

/// The characters that a proxy or a list could misread: `%`, `,`, blanks and controls. All characters beyond
/// ASCII are encoded in any case.
const MISREAD: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b',');

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, MISREAD).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn each_list_that_is_given_needs_one_match() {
        let (roles, groups) = (texts(&["editor", "a b"]), texts(&["staff"]));
        for (query, met) in [
            ("", true),
            ("roles=editor", true),
            ("roles=admin,editor", true),
            ("roles=a+b", true),
            ("roles=Editor", false),
            ("roles=edit", false),
            ("roles=", false),
            ("roles=,", false),
            ("groups=staff", true),
            ("roles=editor&groups=staff", true),
            ("roles=editor&groups=ops", false),
            ("roles=admin&groups=staff", false),
            ("other=x", true),
        ] {
            assert_eq!(Required::parse(query).unwrap().are_met(&roles, &groups), met, "{query}");
        }
        assert!(Required::parse("roles=a&roles=b").is_err(), "a repeated parameter is refused");
        assert!(!Required::parse("roles=").unwrap().are_met(&texts(&[""]), &[]), "an empty role is refused");
    }

    #[test]
    fn nothing_in_a_header_can_be_misread() {
        assert_eq!(encoded("a,b c%d\u{e9}\r\n"), "a%2Cb%20c%25d%C3%A9%0D%0A");
        assert_eq!(list(texts(&["x,y", "z"]).iter(), usize::MAX), "x%2Cy,z");
        assert_eq!(list(texts(&["aaa", "bbb", "ccc"]).iter(), 8), "aaa,bbb");
        assert_eq!(list([].iter(), 8), "");
    }
}
