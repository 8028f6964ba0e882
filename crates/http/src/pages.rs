//! The pages for people: the login buttons, what went wrong, the one that posts a provider's answer once more, and the one of a
//! break-glass link. Only the last needs a script.
//!
//! Templates escape everything; the policy allows our own style and nothing else.

use std::sync::LazyLock;

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portico_core::clock::Entropy;
use portico_core::error::SessionError;
use portico_core::flow::Tokens;
use portico_core::provider::{Health, Slot};
use portico_core::public_url::PublicUrl;
use portico_core::seal::{base64url, sha256};
use portico_core::slot::SlotId;

use crate::callback::CallbackParams;
use crate::cookies::RequestCookies;
use crate::error::{ApiError, Cause};
use crate::extract::{Credentials, LoginQuery};
use crate::limits::RateLimitKind;
use crate::request_context::RequestContext;
use crate::session::{refresh_session, set_session_cookies};
use crate::{Portico, routes};

const STYLE: &str = include_str!("../templates/style.css");

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(sha256(&[STYLE.as_bytes()])));

/// No script, no frame, no form, nothing from elsewhere; the style is allowed by its hash (CSP 3, 2.3.1).
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
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

struct Button<'a> {
    address: String,
    icon: &'a str,
    label: &'a str,
    down: bool,
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

/// The one page that repeats what came in. Its script presses the button.
#[derive(Template)]
#[template(path = "repost.html")]
struct RepostPage<'a> {
    style: &'a str,
    nonce: &'a str,
    action: &'a str,
    fields: Vec<(&'static str, &'a str)>,
}

/// Posts a provider's answer once more, from our own site: only then does the browser send the cookie of the login along
/// (`SameSite=Lax`). Nothing has been looked at or spent yet.
pub(crate) fn repost(portico: &Portico, slot: SlotId, params: &CallbackParams) -> HttpResponse {
    let nonce = base64url(&Entropy.bytes::<16>());
    let action = portico.broker().public_url().callback(slot);
    let fields = params.pairs().collect();
    let page = RepostPage { style: STYLE, nonce: &nonce, action: action.as_str(), fields };
    // Browsers hold the redirects that follow a form to `form-action` as well.
    let front = &portico.front;
    let onward = front.returns.iter().map(|origin| origin.as_str().to_owned());
    let onward = onward.chain(front.error_url.as_ref().map(|url| url.origin().ascii_serialization()));
    let targets: String = onward.flat_map(|origin| [" ".to_owned(), origin]).collect();
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'self'{targets}; frame-ancestors 'none'",
        *STYLE_HASH
    );
    html(StatusCode::OK, &page, &policy)
}

/// The page of a break-glass link. Its script takes the code from the address, which it clears, into the form. The form must name
/// its origin, which pages under `no-referrer` do not (Fetch 3.2): the page says `same-origin` for itself.
#[derive(Template)]
#[template(path = "break_glass.html")]
struct BreakGlassPage<'a> {
    style: &'a str,
    nonce: &'a str,
    action: &'a str,
}

/// The page of a break-glass link, the same for everybody.
pub(crate) fn break_glass(portico: &Portico) -> HttpResponse {
    let nonce = base64url(&Entropy.bytes::<16>());
    let mut action = portico.broker().public_url().at("/auth/break-glass");
    // With an address of its own, what answers the form is not taken for the page that the next link leads to.
    action.set_query(Some("entered"));
    let page = BreakGlassPage { style: STYLE, nonce: &nonce, action: action.as_str() };
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        *STYLE_HASH
    );
    html(StatusCode::OK, &page, &policy)
}

/// `GET /auth/`: the login buttons. Who has a session and says where to go is not asked to log in again.
pub(crate) async fn login(
    portico: Data<Portico>,
    context: RequestContext,
    request: HttpRequest,
    login_params: LoginQuery,
    credentials: Credentials,
) -> Result<HttpResponse, ApiError> {
    if let Some(tokens) = resume(&portico, (&context, &request), &login_params, &credentials).await? {
        let location = (header::LOCATION, login_params.url.as_str());
        return Ok(set_session_cookies(HttpResponse::SeeOther(), &portico, &tokens)
            .insert_header(location)
            .finish());
    }
    let public = portico.broker().public_url().at("/");
    let slots = portico.broker().slots().map(|(slot, _)| slot);
    let page = LoginPage {
        style: STYLE,
        host: public.host_str().unwrap_or_default(),
        buttons: slots.map(|slot| button(&portico, slot, &login_params)).collect(),
    };
    Ok(html(StatusCode::OK, &page, &POLICY))
}

/// Goes on with the browser's session, where there is one that can go on.
async fn resume(
    portico: &Portico,
    (context, request): (&RequestContext, &HttpRequest),
    login_params: &LoginQuery,
    credentials: &Credentials,
) -> Result<Option<Tokens>, ApiError> {
    let Credentials::Cookies(RequestCookies { refresh: Some(refresh), csrf, .. }) = credentials else {
        return Ok(None);
    };
    if login_params.return_to.is_none()
        || login_params.code_challenge.is_some()
        || !context.navigates()
        || context.is_prefetch()
    {
        return Ok(None);
    }
    portico.front.take(RateLimitKind::Refresh, request)?;
    // The refresh cookie has no prefix that keeps other hosts from planting it; the CSRF cookie has, and belongs to one
    // session (threats H02).
    let broker = portico.broker();
    let session = broker.session_of(None, Some(refresh)).await?;
    if !session
        .is_some_and(|session| csrf.as_deref().is_some_and(|csrf| broker.csrf_belongs_to(csrf, session)))
    {
        return Ok(None);
    }
    match refresh_session(broker, refresh, context).await {
        Ok(tokens) => Ok(Some(tokens)),
        Err(SessionError::Invalid(_) | SessionError::AccountDisabled(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn button<'a>(portico: &'a Portico, slot: &'a Slot, login_params: &LoginQuery) -> Button<'a> {
    let mut address = routes::login_url(portico.broker().public_url(), slot.id());
    for (name, value) in login_params.pairs() {
        address.query_pairs_mut().append_pair(name, value);
    }
    let down = portico.broker().health(slot.id()) == Health::Down;
    Button {
        address: address.into(),
        icon: portico.icons.path(&slot.button.icon),
        label: &slot.button.label,
        down,
    }
}

/// The page that says what went wrong: a code with its sentence, and the way back to the buttons where there is one.
pub(crate) fn refusal(
    status: StatusCode,
    (code, sentence): (&str, &str),
    request_id: &str,
    retry: Option<&PublicUrl>,
) -> HttpResponse {
    let heading = if retry.is_some() { "You are not signed in" } else { "That did not work" };
    let retry = retry.map(|public| routes::login_page(public).into());
    html(status, &RefusalPage { style: STYLE, heading, sentence, code, request_id, retry }, &POLICY)
}

fn html(status: StatusCode, page: &impl Template, policy: &str) -> HttpResponse {
    match page.render() {
        Ok(text) => HttpResponse::build(status)
            .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((header::CONTENT_SECURITY_POLICY, policy))
            .body(text),
        Err(_) => HttpResponse::from_error(ApiError::from(Cause::Internal("a page could not be written"))),
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
                "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
        );
        for refused in ["<style", "style=", "<script", "<link", "<form", "<iframe", "<img", "url(", "@import"]
        {
            assert!(!rest.contains(refused) && !style.contains(refused), "{refused}");
        }
    }
}
