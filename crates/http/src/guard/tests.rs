//! Headers and limits that apply to every request and every handler.

use actix_web::http::{Method, StatusCode};
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, call_service, init_service, read_body, try_call_service};
use actix_web::web::{self, Bytes, PayloadConfig};
use actix_web::{App, HttpResponse, ResponseError as _};
use portico_core::public_url::PublicUrl;
use portico_core::return_to::WebOrigin;
use serde_json::Value;
use tracing_actix_web::TracingLogger;

use super::*;
use crate::limits::Limits;
use crate::root_span::RootSpan;
use crate::state::Surface;

fn app() -> App<
    impl actix_web::dev::ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let cors = vec![WebOrigin::parse("https://spa.example.com").unwrap()];
    let front = Front::new(
        PublicUrl::parse("https://app.example.com").unwrap(),
        Surface { cors, ..Surface::default() },
        Vec::new(),
        Limits::none(),
    );
    let routes = web::scope("")
        .route("/fine", web::get().to(|| async { HttpResponse::Ok().body("fine") }))
        .route(
            "/cached",
            web::get()
                .to(|| async { HttpResponse::Ok().insert_header(("cache-control", "max-age=9")).finish() }),
        )
        .route(
            "/refused",
            web::get().to(|| async { Err::<HttpResponse, ApiError>(Cause::Csrf("CANARY").into()) }),
        )
        .service(web::resource("/auth/one").route(web::get().to(HttpResponse::Ok)))
        .route("/auth/any", web::to(|| async { Err::<HttpResponse, ApiError>(Cause::Forbidden.into()) }))
        .route("/panic", web::get().to(panics))
        .route("/body", web::post().to(|body: Bytes| async move { body }))
        .wrap(from_fn(guard))
        .wrap(TracingLogger::<RootSpan>::new());
    App::new().app_data(Data::new(front)).app_data(PayloadConfig::new(1000)).service(routes)
}

async fn panics() -> HttpResponse {
    panic!("CANARY")
}

fn assert_common_headers(headers: &actix_web::http::header::HeaderMap) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(headers.get(name).map(|value| value.to_str().unwrap()), Some(value), "{name}");
    }
    let id = headers.get("x-request-id").unwrap().to_str().unwrap();
    assert!(id.parse::<uuid::Uuid>().is_ok(), "{id}");
}

#[actix_web::test]
async fn every_answer_is_dressed() {
    let app = init_service(app()).await;
    for (path, status) in [("/fine", 200), ("/refused", 403)] {
        let answer = call_service(&app, TestRequest::get().uri(path).to_request()).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_common_headers(answer.headers());
    }
    let cached = call_service(&app, TestRequest::get().uri("/cached").to_request()).await;
    assert_eq!(
        cached.headers().get("cache-control").unwrap(),
        "max-age=9",
        "the header of the handler is kept"
    );
}

#[actix_web::test]
async fn the_documents_request_id_is_the_headers() {
    let app = init_service(app()).await;
    let answer = call_service(&app, TestRequest::get().uri("/refused").to_request()).await;
    let id = answer.headers().get("x-request-id").unwrap().to_str().unwrap().to_owned();
    let problem: Value = serde_json::from_slice(&read_body(answer).await).unwrap();
    assert_eq!(problem["request_id"], id);
}

#[actix_web::test]
async fn a_preflight_is_answered_only_where_nothing_of_ours_takes_options() {
    let app = init_service(app()).await;
    for (path, origin, status) in [
        ("/auth/one", "https://spa.example.com", 204),
        ("/auth/one", "https://evil.example", 405),
        ("/auth/any", "https://spa.example.com", 403),
        ("/auth/%61ny", "https://spa.example.com", 403),
        ("/auth/none", "https://spa.example.com", 404),
    ] {
        let asks = TestRequest::with_uri(path)
            .method(Method::OPTIONS)
            .insert_header((header::ORIGIN, origin))
            .insert_header((header::ACCESS_CONTROL_REQUEST_METHOD, "GET"));
        let answer = call_service(&app, asks.to_request()).await;
        assert_eq!(answer.status().as_u16(), status, "{path} {origin}");
        assert_common_headers(answer.headers());
    }
}

#[actix_web::test]
async fn a_panic_ends_one_request_only() {
    let app = init_service(app()).await;
    let failed = try_call_service(&app, TestRequest::get().uri("/panic").to_request()).await;
    let answer = failed.expect_err("the handler panicked").error_response();
    assert_eq!(answer.status(), 500);
    assert_common_headers(answer.headers());
    let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["code"], "internal");
    assert!(!problem.to_string().contains("CANARY"));
    let next = call_service(&app, TestRequest::get().uri("/fine").to_request()).await;
    assert_eq!(next.status(), 200);
}

#[actix_web::test]
async fn what_takes_too_long_is_given_up() {
    let short = Duration::from_millis(5);
    assert!(matches!(bounded(short, std::future::pending::<()>()).await, Err(Cause::Overdue)));
    assert!(matches!(bounded(short, async { 7 }).await, Ok(7)));
    assert_eq!(ApiError::from(Cause::Overdue).status_code(), StatusCode::SERVICE_UNAVAILABLE);
}

#[actix_web::test]
async fn each_part_of_a_request_has_its_limit() {
    let app = init_service(app()).await;
    let url = |length: usize| TestRequest::get().uri(&format!("/fine?{}", "x".repeat(length - 6)));
    let headers =
        |length: usize| TestRequest::get().uri("/fine").insert_header(("x", "y".repeat(length - 1)));
    let body = |length: usize| TestRequest::post().uri("/body").set_payload("x".repeat(length));
    for (request, status) in [
        (url(LONGEST_URL), 200),
        (url(LONGEST_URL + 1), 414),
        (headers(LONGEST_HEADERS), 200),
        (headers(LONGEST_HEADERS + 1), 431),
        (body(1000), 200),
        (body(1001), 413),
    ] {
        let answer = call_service(&app, request.to_request()).await;
        assert_eq!(answer.status().as_u16(), status);
        assert_common_headers(answer.headers());
        if status != 200 {
            let problem: Value = serde_json::from_slice(&read_body(answer).await).unwrap();
            assert_eq!(problem["code"], "too_large");
        }
    }
}
