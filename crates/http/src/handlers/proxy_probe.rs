//! `GET /auth/mirror`: how a request of `portico check --live` arrives. Without the secret key the path is
//! 404.

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::error::{ApiError, Cause};
use crate::proxy_probe::ObservedRequest;
use crate::request::context::RequestContext;
use crate::request::query::once;
use crate::state::Portico;

/// Longer than any probe, in bytes.
const LONGEST_PROBE: usize = 128;

pub(crate) async fn answer_probe(
    request: HttpRequest,
    context: RequestContext,
    portico: Data<Portico>,
) -> Result<HttpResponse, ApiError> {
    let probe = once(request.query_string(), "question", LONGEST_PROBE).ok().flatten().unwrap_or_default();
    let front = portico.front();
    let cookie = front.cookies.check();
    let observe = || {
        let client = context.client();
        let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
        ObservedRequest {
            peer,
            peer_trusted: peer.is_some_and(|peer| front.proxies.trusts(peer)),
            client: client.address,
            shared: client.shared,
            forwarded_for: lines(request.headers(), "x-forwarded-for"),
            cookies: lines(request.headers(), header::COOKIE.as_str()),
            set_cookie: cookie.to_string(),
        }
    };
    let answer = portico.proxy_probe().and_then(|own| own.answer(&probe, observe)).ok_or(Cause::NotFound)?;
    Ok(HttpResponse::Ok().cookie(cookie).content_type("text/plain; charset=utf-8").body(answer))
}

fn lines(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect()
}
