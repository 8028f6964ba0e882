//! The response to a refused request: a problem document (RFC 9457), a page, or a redirect to the
//! application.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use serde::Serialize;
use url::Url;

use crate::error::{ApiError, Cause};
use crate::pages;
use crate::request::context::RequestContext;
use crate::state::Front;

/// When a client may retry after 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_url: Option<&'a str>,
}

/// Renders a refusal in the form that the client can use.
pub(crate) fn refusal(error: &ApiError, front: &Front, context: &RequestContext) -> HttpResponse {
    let mut response = match &front.error_url {
        _ if !shows_pages(error, context) => problem(error.cause(), context),
        Some(url) if error.is_of_a_login() => redirect(error.cause(), url, context),
        _ => page(error, front, context),
    };
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    for (name, value) in error.headers() {
        response.headers_mut().append(name.clone(), value.clone());
    }
    response
}

/// Login endpoints answer every navigation with a page. Other endpoints do so only if the browser asks for a
/// page.
fn shows_pages(error: &ApiError, context: &RequestContext) -> bool {
    if error.is_api_only() {
        return false;
    }
    if error.is_of_a_login() { context.navigates() } else { context.reads_pages() }
}

fn problem(cause: &Cause, context: &RequestContext) -> HttpResponse {
    let status = cause.status();
    let login_url = match cause {
        Cause::NotANavigation { login_url } | Cause::Unverified { login_url, .. } => Some(login_url.as_str()),
        _ => None,
    };
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        code: cause.code().as_str(),
        detail: cause.detail(),
        request_id: context.request_id(),
        login_url,
    };
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "application/problem+json"))
        .json(problem)
}

fn page(error: &ApiError, front: &Front, context: &RequestContext) -> HttpResponse {
    let cause = error.cause();
    let unverified = matches!(cause, Cause::Unverified { .. });
    let retry = (unverified || error.is_of_a_login()).then_some(&front.public_url);
    pages::refusal(cause.status(), (cause.code().as_str(), cause.detail()), context.request_id(), retry)
}

fn redirect(cause: &Cause, error_url: &Url, context: &RequestContext) -> HttpResponse {
    let mut location = error_url.clone();
    location
        .query_pairs_mut()
        .append_pair("error", cause.code().as_str())
        .append_pair("request_id", context.request_id());
    HttpResponse::SeeOther().insert_header((header::LOCATION, location.as_str())).finish()
}

#[cfg(test)]
mod tests;
