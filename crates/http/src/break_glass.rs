//! The way in when no provider can be asked: a page for an operator's link, and what its button does.
//!
//! The code stands in the fragment of the link, which no browser sends and no proxy logs. Looking at the page uses nothing up,
//! so previews and scanners of links do no harm.

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use portico_core::flow::PresentedTokens;
use secrecy::{ExposeSecret as _, SecretString};

use crate::Portico;
use crate::cookies::RequestCookies;
use crate::csrf;
use crate::error::{ApiError, Cause};
use crate::extract::is_of_kind;
use crate::limits::{BreakGlassLimit, Within};
use crate::pages;
use crate::query::once;
use crate::request_context::RequestContext;
use crate::session::{TokenAnswer, set_session_cookies};

/// Longer than any code.
const LONGEST_CODE: usize = 256;

/// The form that the page sends.
pub(crate) struct BreakGlassForm(SecretString);

impl BreakGlassForm {
    fn parse(body: &[u8]) -> Result<Self, Cause> {
        let text = std::str::from_utf8(body).map_err(|_| Cause::BadRequest("the form is not UTF-8"))?;
        let code = once(text, "code", LONGEST_CODE).map_err(Cause::BadRequest)?;
        code.map(|code| Self(code.into())).ok_or(Cause::BadRequest("there is no code"))
    }
}

impl FromRequest for BreakGlassForm {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = is_of_kind(request.headers(), "application/x-www-form-urlencoded");
        let body = Bytes::from_request(request, payload);
        Box::pin(async move {
            let body = body.await?;
            let parsed = if form { Self::parse(&body) } else { Err(Cause::UnsupportedMediaType) };
            Ok(parsed.map_err(ApiError::from)?)
        })
    }
}

/// `GET /auth/break-glass`
pub(crate) async fn page(portico: Data<Portico>) -> HttpResponse {
    pages::break_glass(&portico)
}

/// `POST /auth/break-glass`, from that page only: another site must not sign somebody in as whom it chose (threats H02).
pub(crate) async fn enter(
    _: Within<BreakGlassLimit>,
    portico: Data<Portico>,
    context: RequestContext,
    request: HttpRequest,
    BreakGlassForm(code): BreakGlassForm,
    request_cookies: RequestCookies,
) -> Result<HttpResponse, ApiError> {
    csrf::check_origin(&portico, &request)?;
    let presented = PresentedTokens { access: request_cookies.access, refresh: request_cookies.refresh };
    let tokens = portico.broker().break_glass(code.expose_secret(), &presented, context.caller()).await?;
    let onward = portico.broker().public_url().at("/");
    let status = if context.navigates() { StatusCode::SEE_OTHER } else { StatusCode::OK };
    let mut answer = set_session_cookies(HttpResponse::build(status), &portico, &tokens);
    if context.navigates() {
        return Ok(answer.insert_header((header::LOCATION, onward.as_str())).finish());
    }
    Ok(answer.json(TokenAnswer::of(&tokens).leading_to(&onward)))
}
