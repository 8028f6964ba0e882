//! `GET /auth/mirror`: how a request of `portico check --live` looks when it arrives. Whoever has not our secret key finds
//! nothing here.

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use portico_core::proxy_probe::ObservedRequest;

use crate::error::{ApiError, Cause};
use crate::query::once;
use crate::{Front, Portico};

/// Longer than any question, in bytes.
const LONGEST_QUESTION: usize = 128;

pub(crate) async fn answer_probe(
    request: HttpRequest,
    portico: Data<Portico>,
    front: Data<Front>,
) -> Result<HttpResponse, ApiError> {
    let probe = once(request.query_string(), "question", LONGEST_QUESTION).ok().flatten().unwrap_or_default();
    let cookie = front.cookies.check();
    let seen = || {
        let client = front.proxies.client(&request);
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
    let answer = portico.broker().answer_probe(&probe, seen).ok_or(Cause::NotFound)?;
    Ok(HttpResponse::Ok().cookie(cookie).content_type("text/plain; charset=utf-8").body(answer))
}

fn lines(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect()
}
