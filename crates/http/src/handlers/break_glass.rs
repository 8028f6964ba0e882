//! Break-glass: a sign-in without a provider, by an operator's link.
//!
//! The code is in the fragment of the link, which browsers do not send and proxies do not log. Opening the
//! page does not use the code, so previews and link scanners do no harm.

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret as _;

use crate::error::ApiError;
use crate::pages;
use crate::request::bodies::BreakGlassForm;
use crate::request::context::RequestContext;
use crate::request::cookies::RequestCookies;
use crate::request::csrf;
use crate::request::rate_limit::{BreakGlassLimit, Within};
use crate::session_response::{TokenResponse, set_session_cookies};
use crate::state::Portico;

/// `GET /auth/break-glass`
pub(crate) async fn page(portico: Data<Portico>) -> HttpResponse {
    pages::break_glass(portico.broker().public_url())
}

/// `POST /auth/break-glass`, from that page only: another site must not sign a browser in to an account of
/// its choice (threats H02).
pub(crate) async fn redeem(
    _: Within<BreakGlassLimit>,
    portico: Data<Portico>,
    context: RequestContext,
    request: HttpRequest,
    BreakGlassForm(code): BreakGlassForm,
    cookies: RequestCookies,
) -> Result<HttpResponse, ApiError> {
    csrf::check_origin(&portico, request.headers())?;
    let presented = cookies.into_tokens();
    let tokens =
        portico.broker().break_glass().redeem(code.expose_secret(), &presented, context.caller()).await?;
    let return_to = portico.broker().public_url().at("/");
    let status = if context.navigates() { StatusCode::SEE_OTHER } else { StatusCode::OK };
    let mut response = set_session_cookies(HttpResponse::build(status), &portico, &tokens);
    if context.navigates() {
        return Ok(response.insert_header((header::LOCATION, return_to.as_str())).finish());
    }
    Ok(response.json(TokenResponse::new(&tokens).with_return_to(&return_to)))
}
