//! HTML pages of the provider.
//!
//! The pages load one style sheet and, for `form_post`, one script. Both come from the provider itself.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use crate::config::Person;
use crate::realm::Realm;

/// The error message for a request with a repeated parameter.
pub(crate) const REPEATED_PARAMETER: &str = "A request parameter is repeated.";

/// The `Content-Security-Policy` of all pages.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    title: &'a str,
    prompt: LoginPrompt<'a>,
    people: Vec<PersonEntry>,
}

/// The part of the login page that depends on the authorization request.
pub(crate) struct LoginPrompt<'a> {
    /// The name of the client on the page.
    pub(crate) client: String,
    /// The requested scope values.
    pub(crate) scopes: &'a [String],
    /// The hidden fields of the form.
    pub(crate) fields: Vec<(String, String)>,
}

/// A person in the list of the login page.
struct PersonEntry {
    sub: String,
    initial: String,
    name: String,
    email: String,
    groups: String,
}

impl PersonEntry {
    fn from_person(person: &Person) -> Self {
        let name = person.name.clone().unwrap_or_else(|| person.sub.clone());
        Self {
            sub: person.sub.clone(),
            initial: name.chars().take(1).collect(),
            email: person.email.clone().unwrap_or_default(),
            groups: person.groups.join(", "),
            name,
        }
    }
}

#[derive(Template)]
#[template(path = "notice.html")]
struct NoticePage<'a> {
    title: &'a str,
    heading: &'a str,
    message: &'a str,
}

#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPostPage<'a> {
    target: &'a str,
    fields: &'a [(String, String)],
}

/// The login page, on which the user chooses a person.
pub(crate) fn login(realm: &Realm, prompt: LoginPrompt<'_>, people: &[Arc<Person>]) -> HttpResponse {
    let page = LoginPage {
        title: realm.title(),
        prompt,
        people: people.iter().map(|person| PersonEntry::from_person(person)).collect(),
    };
    html(StatusCode::OK, &page)
}

/// The error page for a request that has no valid redirect URI.
pub(crate) fn error(realm: &Realm, message: &str) -> HttpResponse {
    let page = NoticePage { title: realm.title(), heading: "Invalid request", message };
    html(StatusCode::BAD_REQUEST, &page)
}

/// The page after a logout without `post_logout_redirect_uri`.
pub(crate) fn signed_out(realm: &Realm) -> HttpResponse {
    let message = "The demo identity provider has no sessions.";
    html(StatusCode::OK, &NoticePage { title: realm.title(), heading: "You are signed out", message })
}

/// The page that posts the authorization response to the client (OAuth 2.0 Form Post Response Mode).
pub(crate) fn form_post(target: &str, fields: &[(String, String)]) -> HttpResponse {
    html(StatusCode::OK, &FormPostPage { target, fields })
}

/// The style sheet of all pages.
pub(crate) async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", include_str!("../templates/style.css"))
}

/// The script that submits the form of the `form_post` page.
pub(crate) async fn script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", "document.forms[0].submit();\n")
}

fn asset(content_type: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .body(text)
}

fn html(status: StatusCode, page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(text) => HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header(("Cache-Control", "no-store"))
            .insert_header(("Content-Security-Policy", POLICY))
            .insert_header(("Referrer-Policy", "no-referrer"))
            .insert_header(("X-Content-Type-Options", "nosniff"))
            .body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
