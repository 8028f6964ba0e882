//! The HTML pages: login buttons, refusals, the repost of a provider's response, and the break-glass form.
//!
//! Templates escape all values. Each page's policy allows its own style, and its own script if it has one.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portico_core::clock::Entropy;
use portico_core::public_url::PublicUrl;
use portico_core::seal::{base64url, sha256};
use url::Url;

use crate::error::{ApiError, Cause};
use crate::urls;

const STYLE: &str = include_str!("../templates/style.css");

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(sha256(&[STYLE.as_bytes()])));

/// No script, no frame, no form, nothing from other hosts; the style is allowed by its hash (CSP 3, 2.3.1).
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        *STYLE_HASH
    )
});

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    style: &'a str,
    host: &'a str,
    buttons: Vec<Button<'a>>,
}

/// A login button.
pub(crate) struct Button<'a> {
    /// The URL that begins the login.
    pub(crate) address: String,
    /// The `d` of the icon's SVG path.
    pub(crate) icon: &'a str,
    pub(crate) label: &'a str,
    /// Whether the provider cannot be used now.
    pub(crate) down: bool,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage<'a> {
    style: &'a str,
    heading: &'a str,
    sentence: &'a str,
    code: &'a str,
    request_id: &'a str,
    retry: Option<String>,
}

/// The only page that repeats values of the request. Its script submits the form.
#[derive(Template)]
#[template(path = "repost.html")]
struct RepostPage<'a> {
    style: &'a str,
    nonce: &'a str,
    action: &'a str,
    fields: Vec<(&'static str, &'a str)>,
}

/// The break-glass page. Its script moves the code from the URL's fragment into the form. The form must send
/// its origin, which `no-referrer` suppresses (Fetch 3.2), so the page sets `same-origin` for itself.
#[derive(Template)]
#[template(path = "break_glass.html")]
struct BreakGlassPage<'a> {
    style: &'a str,
    nonce: &'a str,
    action: &'a str,
}

/// The page with the login buttons.
pub(crate) fn login(public: &PublicUrl, buttons: Vec<Button<'_>>) -> HttpResponse {
    let root = public.at("/");
    let host = root.host_str().unwrap_or_default();
    html(StatusCode::OK, &LoginPage { style: STYLE, host, buttons }, &POLICY)
}

/// Posts a provider's response again, from Portico's own site: only then does the browser send the login's
/// cookie (`SameSite=Lax`). `origins` are those that the response to the form may redirect to.
pub(crate) fn repost(
    action: &Url,
    fields: Vec<(&'static str, &str)>,
    origins: impl Iterator<Item = String>,
) -> HttpResponse {
    let nonce = nonce();
    let page = RepostPage { style: STYLE, nonce: &nonce, action: action.as_str(), fields };
    // Browsers apply `form-action` to the redirects after a form, too.
    let targets: String = origins.flat_map(|origin| [" ".to_owned(), origin]).collect();
    html(StatusCode::OK, &page, &form_policy(&nonce, &targets))
}

/// The page of a break-glass link, which is the same for every link.
pub(crate) fn break_glass(public: &PublicUrl) -> HttpResponse {
    let nonce = nonce();
    let mut action = public.at("/auth/break-glass");
    // A query of its own, so that the browser does not take the form's response for the page of the next
    // link.
    action.set_query(Some("entered"));
    let page = BreakGlassPage { style: STYLE, nonce: &nonce, action: action.as_str() };
    html(StatusCode::OK, &page, &form_policy(&nonce, ""))
}

/// The page of a refusal: its code and sentence, and a link to the login buttons if a new login may help.
pub(crate) fn refusal(
    status: StatusCode,
    (code, sentence): (&str, &str),
    request_id: &str,
    retry: Option<&PublicUrl>,
) -> HttpResponse {
    let heading = if retry.is_some() { "You are not signed in" } else { "That did not work" };
    let retry = retry.map(|public| urls::login_page(public).into());
    html(status, &RefusalPage { style: STYLE, heading, sentence, code, request_id, retry }, &POLICY)
}

/// The policy of a page whose script has this nonce and whose form leads to Portico, and from there to
/// `targets`.
fn form_policy(nonce: &str, targets: &str) -> String {
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'nonce-{nonce}'; base-uri 'none'; \
         form-action 'self'{targets}; frame-ancestors 'none'",
        *STYLE_HASH
    )
}

fn nonce() -> String {
    base64url(&Entropy.bytes::<16>())
}

fn html(status: StatusCode, page: &impl Template, policy: &str) -> HttpResponse {
    match page.render() {
        Ok(text) => HttpResponse::build(status)
            .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((header::CONTENT_SECURITY_POLICY, policy))
            .body(text),
        Err(_) => HttpResponse::from_error(ApiError::from(Cause::Internal("a page could not be rendered"))),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    const EVIL: &str = r#""><script>alert(1)</script><img src=x onerror=alert(1)>'&"#;

    fn page(label: &str, address: &str) -> LoginPage<'static> {
        let button =
            Button { address: address.to_owned(), icon: "M0 0Z", label: label.to_owned().leak(), down: true };
        LoginPage { style: STYLE, host: "app.example.com", buttons: vec![button] }
    }

    #[test]
    fn nothing_configured_or_asked_becomes_markup() {
        let text = page(EVIL, EVIL).render().unwrap();
        for active in ["<script", "<img"] {
            assert!(!text.contains(active), "{active}: {text}");
        }
        assert_eq!(text.matches("<a ").count(), 1, "{text}");
    }

    #[test]
    fn h11_what_is_posted_once_more_becomes_no_markup() {
        let page = RepostPage {
            style: STYLE,
            nonce: "nonce",
            action: "https://app.example.com/callback",
            fields: vec![("code", EVIL), ("state", EVIL)],
        };
        let text = page.render().unwrap();
        assert_eq!(text.matches("<script").count(), 1, "{text}");
        assert!(!text.contains("<img"), "{text}");
        assert_eq!(text.matches("<input ").count(), 3, "the two and the marker: {text}");
    }

    #[actix_web::test]
    async fn the_policy_allows_the_pages_own_style_and_nothing_else() {
        let answer = html(StatusCode::OK, &page("Label", "https://app.example.com/x"), &POLICY);
        let policy =
            answer.headers().get(header::CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap().to_owned();
        let text = String::from_utf8(to_bytes(answer.into_body()).await.unwrap().to_vec()).unwrap();
        let (_, rest) = text.split_once("<style>").unwrap();
        let (style, rest) = rest.split_once("</style>").unwrap();
        let hash = STANDARD.encode(sha256(&[style.as_bytes()]));
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'"
            )
        );
        for refused in ["<style", "style=", "<script", "<link", "<form", "<iframe", "<img", "url(", "@import"]
        {
            assert!(!rest.contains(refused) && !style.contains(refused), "{refused}");
        }
    }
}
