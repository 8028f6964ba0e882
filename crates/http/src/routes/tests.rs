//! The table without a broker: which paths exist, and by which method.

use std::sync::Arc;

use actix_web::App;
use actix_web::dev::ServiceResponse;
use actix_web::http::header;
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::web::Data;
use portico_core::public_url::PublicUrl;

use super::*;
use crate::limits::Limits;
use crate::state::{Front, Surface};
use crate::urls::routed;

/// The response under a public URL with this path.
async fn send(base: &str, method: &Method, path: &str) -> ServiceResponse {
    let public = PublicUrl::parse(&format!("https://app.example.com{base}")).unwrap();
    let routed = routed(public.base_path());
    let front = Data::from(Arc::new(Front::new(public, Surface::default(), Vec::new(), Limits::none())));
    let app = App::new().app_data(front).configure(|config| super::public(config, &routed));
    let app = init_service(app).await;
    call_service(&app, TestRequest::with_uri(path).method(method.clone()).to_request()).await
}

#[actix_web::test]
async fn each_path_has_one_method() {
    for (path, own) in [
        ("/auth/", Method::GET),
        ("/auth/providers", Method::GET),
        ("/auth/oidc/provider1/login", Method::GET),
        ("/auth/oidc/provider1/link", Method::POST),
        ("/auth/oidc/provider1/backchannel-logout", Method::POST),
        ("/auth/token", Method::POST),
        ("/auth/identities", Method::GET),
        ("/auth/identities/x", Method::DELETE),
        ("/auth/sessions/x", Method::DELETE),
        ("/auth/session", Method::GET),
        ("/auth/refresh", Method::POST),
        ("/auth/logout", Method::POST),
        ("/.well-known/jwks.json", Method::GET),
        ("/.well-known/openid-configuration", Method::GET),
        ("/openapi.json", Method::GET),
    ] {
        let all = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
        ];
        for method in all {
            let answer = send("", &method, path).await;
            assert_eq!(answer.status() == 405, method != own, "{method} {path}");
            assert_ne!(answer.status(), 404, "{method} {path}");
            let allowed = answer.headers().get(header::ALLOW).map(|value| value.to_str().unwrap());
            assert_eq!(allowed, (method != own).then(|| own.as_str()), "{method} {path}");
        }
    }
}

// The slot decides which of the two it takes.
#[actix_web::test]
async fn a_callback_comes_by_get_or_post() {
    for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        assert_eq!(send("", &method, "/auth/oidc/provider1/callback").await.status(), 405, "{method}");
    }
    for method in [Method::GET, Method::POST] {
        assert_ne!(send("", &method, "/auth/oidc/provider1/callback").await.status(), 405, "{method}");
    }
}

#[actix_web::test]
async fn a_path_has_one_spelling_and_its_place() {
    for (base, path, found) in [
        ("", "/auth/providers", true),
        ("", "/auth/providers?x=/y", true),
        ("/sso/v1", "/sso/v1/auth/providers", true),
        ("/sso/v1", "/sso/v1/auth/oidc/provider1/login", true),
        ("/f%C3%BCr", "/f%C3%BCr/auth/providers", true),
        ("", "/", false),
        ("", "/auth", false),
        ("", "/auth/providers/", false),
        ("", "//auth/providers", false),
        ("", "/auth//providers", false),
        ("", "/Auth/providers", false),
        ("", "/auth/./providers", false),
        ("", "/x/../auth/providers", false),
        ("", "/auth%2fproviders", false),
        ("", "/auth/providers%00", false),
        ("", "/auth/providers;x", false),
        ("", "/auth/oidc//login", false),
        ("", "/auth/oidc/provider1", false),
        ("", "/auth/oidc/provider1/login/x", false),
        ("", "/auth/oidc/a%2fb/c/login", false),
        ("", "/auth/oauth2/provider1/backchannel-logout", false),
        ("", "/livez", false),
        ("/sso/v1", "/auth/providers", false),
        ("/sso/v1", "/sso/auth/providers", false),
        ("/sso/v1", "/sso/v1x/auth/providers", false),
        ("/sso/v1", "/SSO/v1/auth/providers", false),
        ("/sso/v1", "/sso/v1/sso/v1/auth/providers", false),
    ] {
        let answer = send(base, &Method::PATCH, path).await;
        assert_eq!(answer.status().as_u16(), if found { 405 } else { 404 }, "{base} {path}");
        assert_eq!(answer.headers().get("cache-control").unwrap(), "no-store");
    }
}
