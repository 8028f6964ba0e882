//! Pages for people. Nothing on them comes from elsewhere: one style sheet of our own, no images, one script for `form_post`.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use url::Url;

use crate::authorize::AuthorizeRequest;
use crate::config::Person;
use crate::params::Params;
use crate::realm::Realm;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    title: &'a str,
    asker: String,
    scopes: &'a [String],
    fields: Vec<(String, String)>,
    people: Vec<Face>,
}

/// A person as the page shows them.
struct Face {
    sub: String,
    initial: String,
    name: String,
    email: String,
    groups: String,
}

impl Face {
    fn of(person: &Person) -> Self {
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
    sentence: &'a str,
}

#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPostPage<'a> {
    target: &'a str,
    fields: &'a [(String, String)],
}

/// The page that asks who is logging in.
pub(crate) fn login(
    realm: &Realm,
    ask: &AuthorizeRequest,
    people: &[Arc<Person>],
    params: &Params,
) -> HttpResponse {
    let origin = Url::parse(&ask.back.redirect_uri).map(|uri| uri.origin().ascii_serialization());
    let page = LoginPage {
        title: realm.title(),
        asker: origin.unwrap_or_else(|_| ask.client.id.clone()),
        scopes: ask.scope.words(),
        fields: params.without(&["person", "deny"]),
        people: people.iter().map(|person| Face::of(person)).collect(),
    };
    html(StatusCode::OK, &page)
}

/// A request that cannot be sent back to the client.
pub(crate) fn refusal(realm: &Realm, sentence: &str) -> HttpResponse {
    let page = NoticePage { title: realm.title(), heading: "This login cannot go on", sentence };
    html(StatusCode::BAD_REQUEST, &page)
}

/// After a logout without a place to go back to.
pub(crate) fn signed_out(realm: &Realm) -> HttpResponse {
    let sentence = "The demo identity provider keeps nobody signed in.";
    html(StatusCode::OK, &NoticePage { title: realm.title(), heading: "You are signed out", sentence })
}

/// The page that posts the result to the client (OAuth 2.0 Form Post Response Mode).
pub(crate) fn form_post(target: &str, fields: &[(String, String)]) -> HttpResponse {
    html(StatusCode::OK, &FormPostPage { target, fields })
}

/// The style sheet of all pages.
pub(crate) async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", include_str!("../templates/style.css"))
}

/// The script that sends the `form_post` page.
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
