//! The OpenAPI 3.1 description. It is written by hand in `assets/openapi.json`; tests compare it with the
//! routes and with real responses.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::handlers::keys::CACHED;
use crate::state::Portico;

const DESCRIPTION: &str = include_str!("../../assets/openapi.json");

/// The description of a service at this URL, as JSON. `/` means the host that it was fetched from.
pub fn description(server: &str) -> String {
    DESCRIPTION.replacen("@version@", env!("CARGO_PKG_VERSION"), 1).replacen(
        r#""url": "/""#,
        &format!(r#""url": "{server}""#),
        1,
    )
}

/// `GET /openapi.json`
pub(crate) async fn openapi(portico: Data<Portico>) -> HttpResponse {
    let description = description(portico.broker().public_url().as_str());
    HttpResponse::Ok().insert_header(CACHED).content_type("application/json").body(description)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn parsed_description(server: &str) -> Value {
        serde_json::from_str(&description(server)).unwrap()
    }

    #[test]
    fn it_names_the_service_and_its_version() {
        let description = parsed_description("https://app.example.com/portal");
        assert_eq!(description["servers"][0]["url"], "https://app.example.com/portal");
        assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(parsed_description("/")["servers"][0]["url"], "/");
    }

    #[test]
    fn it_has_every_path_and_no_other() {
        let table = include_str!("../routes.rs").split("pub(crate) fn public").nth(1).unwrap();
        let table = table.split("pub(crate) fn operator").next().unwrap();
        let paths = table.split(r#"at(""#).skip(1).map(|rest| rest.split('"').next().unwrap());
        // The probe serves `portico check` only; the path after /auth/verify has no meaning.
        let internal = ["/auth/mirror", "/auth/verify/{rest:.*}"];
        let routed: BTreeSet<_> = paths
            .filter(|path| !internal.contains(path))
            .map(|path| path.replace("{protocol:oidc}", "oidc"))
            .collect();
        let description = parsed_description("/");
        let described: BTreeSet<_> = description["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(described, routed);
    }
}
