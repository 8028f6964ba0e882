//! The exact responses to refused requests.

use actix_web::body::to_bytes;
use actix_web::test::TestRequest;
use portico_core::error::{FlowError, LoginError, SessionError, StoreError, UpstreamError};
use portico_core::public_url::PublicUrl;

use super::*;
use crate::error::{Part, code_of};
use crate::limits::Limits;
use crate::state::Surface;

const BROWSER: &[(&str, &str)] = &[("accept", "text/html")];
const API: &[(&str, &str)] = &[("accept", "application/json")];
const UNKNOWN: &[(&str, &str)] = &[("accept", "*/*")];

fn front(error_url: Option<&str>) -> Front {
    let public = PublicUrl::parse("https://app.example.com/sso").unwrap();
    let error_url = error_url.map(|url| Url::parse(url).unwrap());
    Front::new(public, Surface { error_url, ..Surface::default() }, Vec::new(), Limits::none())
}

fn context(headers: &[(&str, &str)]) -> RequestContext {
    let mut request = TestRequest::default();
    for (name, value) in headers {
        request = request.append_header((*name, *value));
    }
    RequestContext::new(&request.to_http_request())
}

async fn text(answer: HttpResponse) -> String {
    String::from_utf8(to_bytes(answer.into_body()).await.unwrap().to_vec()).unwrap()
}

fn header<'a>(answer: &'a HttpResponse, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

/// One of each cause.
fn causes() -> Vec<Cause> {
    vec![
        LoginError::BadRequest("CANARY").into(),
        LoginError::ProviderUnknown.into(),
        LoginError::StateInvalid("CANARY").into(),
        LoginError::Upstream(UpstreamError::Denied { error: "CANARY".to_owned() }).into(),
        LoginError::Upstream(UpstreamError::CodeRejected { error: "CANARY".to_owned() }).into(),
        LoginError::from(StoreError::Unavailable("CANARY".into())).into(),
        LoginError::from(FlowError::Internal("CANARY")).into(),
        SessionError::Invalid("CANARY").into(),
        SessionError::from(StoreError::Unavailable("CANARY".into())).into(),
        Cause::NotANavigation {
            login_url: Url::parse("https://app.example.com/sso/auth/oidc/google/login").unwrap(),
        },
        Cause::Csrf("CANARY"),
        Cause::BadRequest("CANARY"),
        Cause::NotFound,
        Cause::MethodNotAllowed,
        Cause::UnsupportedMediaType,
        Cause::TooLarge(Part::Body),
        Cause::TooLarge(Part::Url),
        Cause::TooLarge(Part::Headers),
        Cause::Overdue,
        Cause::Internal("CANARY"),
    ]
}

#[test]
fn each_cause_has_its_status_and_code() {
    let faces: Vec<_> =
        causes().iter().map(|cause| (cause.status().as_u16(), cause.code().as_str())).collect();
    assert_eq!(
        faces,
        [
            (400, "bad_request"),
            (404, "provider_unknown"),
            (400, "login_state_invalid"),
            (403, "idp_denied"),
            (401, "code_rejected"),
            (503, "unavailable"),
            (500, "internal"),
            (401, "session_invalid"),
            (503, "unavailable"),
            (401, "session_invalid"),
            (403, "csrf_failed"),
            (400, "bad_request"),
            (404, "not_found"),
            (405, "method_not_allowed"),
            (415, "unsupported_media_type"),
            (413, "too_large"),
            (414, "too_large"),
            (431, "too_large"),
            (503, "unavailable"),
            (500, "internal"),
        ]
    );
}

#[actix_web::test]
async fn a_program_gets_a_problem_document() {
    let refused = ApiError::from(SessionError::Invalid("the session is revoked"));
    let answer = refusal(&refused, &front(None), &context(API));
    assert_eq!(header(&answer, "content-type"), Some("application/problem+json"));
    assert_eq!(
        text(answer).await,
        concat!(
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"session_invalid","#,
            r#""detail":"The session is missing, expired or revoked.","request_id":""}"#
        )
    );
    let login_url = Url::parse("https://app.example.com/sso/auth/oidc/google/login").unwrap();
    let refused = ApiError::from(Cause::NotANavigation { login_url });
    let document = text(refusal(&refused, &front(None), &context(API))).await;
    assert!(
        document.ends_with(r#","login_url":"https://app.example.com/sso/auth/oidc/google/login"}"#),
        "{document}"
    );
}

#[actix_web::test]
async fn nothing_but_our_own_sentences_is_shown() {
    for headers in [BROWSER, API] {
        for cause in causes() {
            let answer = refusal(&ApiError::from(cause), &front(None), &context(headers));
            let shown = text(answer).await;
            assert!(!shown.contains("CANARY"), "{shown}");
        }
    }
}

#[actix_web::test]
async fn who_gets_a_page_and_who_a_document() {
    let login = || ApiError::from(LoginError::StateInvalid("x"));
    let other = || ApiError::from(Cause::NotFound);
    let login_url = Url::parse("https://app.example.com/sso/auth/").unwrap();
    let unverified = ApiError::from(Cause::Unverified { why: "x", login_url });
    for (error, headers, page) in [
        (unverified, BROWSER, true),
        (login(), BROWSER, true),
        (login(), UNKNOWN, true),
        (login(), API, false),
        (other(), BROWSER, true),
        (other(), UNKNOWN, false),
        (other(), API, false),
    ] {
        let answer = refusal(&error, &front(None), &context(headers));
        let kind = header(&answer, "content-type").unwrap().to_owned();
        assert_eq!(kind == "text/html; charset=utf-8", page, "{error}: {headers:?}");
        let shown = text(answer).await;
        assert!(shown.contains(code_of(&error)), "{shown}");
        assert_eq!(
            shown.contains(r#"href="https://app.example.com/sso/auth/""#),
            page && !matches!(error.cause(), Cause::NotFound)
        );
    }
}

#[test]
fn a_failed_login_leads_to_the_applications_own_route() {
    let front = front(Some("https://spa.example/failed?from=sso#login"));
    let login = ApiError::from(LoginError::StateInvalid("x"));
    let answer = refusal(&login, &front, &context(BROWSER));
    assert_eq!(answer.status(), 303);
    assert_eq!(
        header(&answer, "location"),
        Some("https://spa.example/failed?from=sso&error=login_state_invalid&request_id=#login")
    );
    assert_eq!(refusal(&login, &front, &context(API)).status(), 400, "a script gets the problem document");
    assert_eq!(
        refusal(&ApiError::from(Cause::NotFound), &front, &context(BROWSER)).status(),
        404,
        "the endpoint is no login"
    );
}

#[test]
fn headers_go_along_in_every_form() {
    for (error_url, headers) in [(None, BROWSER), (None, API), (Some("https://spa.example/"), BROWSER)] {
        let refused = ApiError::from(LoginError::ProviderUnknown).with(header::SET_COOKIE, "a=; Max-Age=0");
        let refused = refused.with(header::SET_COOKIE, "b=; Max-Age=0").with(header::ALLOW, "no\nheader");
        let answer = refusal(&refused, &front(error_url), &context(headers));
        let set: Vec<_> = answer.headers().get_all(header::SET_COOKIE).collect();
        assert_eq!(set, ["a=; Max-Age=0", "b=; Max-Age=0"]);
        assert!(!answer.headers().contains_key(header::ALLOW));
    }
}
