//! The login buttons, as a list for frontends and on Portico's login page.

use serde_json::json;

use crate::testkit::{Backend, TestApp, on_both_databases};

on_both_databases!(
    the_list_has_the_enabled_slots_in_the_operators_order,
    without_slots_nothing_is_enabled,
    the_page_has_a_button_for_each_slot,
    h11_m22_labels_are_text_and_never_markup,
    an_unknown_icon_is_replaced,
);

async fn the_list_has_the_enabled_slots_in_the_operators_order(backend: Backend) {
    let app = TestApp::on(backend)
        .slots(&["oidc/provider2", "oidc/provider1", "oauth2/provider1"])
        .set("OIDC_PROVIDER2_DISPLAY_LABEL", "Zweiter & Co")
        .set("OIDC_PROVIDER2_ICON", "mdi:handshake")
        .unset("OIDC_PROVIDER1_DISPLAY_LABEL")
        .unset("OIDC_PROVIDER1_ICON")
        .start()
        .await;
    app.browser().log_in("oidc/provider1", "ada-1").await;
    app.browser().log_in("oidc/provider2", "ada-1").await;
    let mut browser = app.browser();
    let listed = browser.fetch("/auth/providers").await.is(200).json();
    let slot = |protocol: &str, slot: &str, label: &str, icon: &str| {
        let name = format!("{protocol}/{slot}");
        json!({
            "protocol": protocol,
            "slot": slot,
            "name": name,
            "display_label": label,
            "icon": icon,
            "login_url": browser.url(&format!("/auth/{name}/login")).as_str(),
            "status": "ok",
        })
    };
    assert_eq!(
        listed,
        json!({
            "enabled": true,
            "providers": [
                slot("oidc", "provider2", "Zweiter & Co", "mdi:handshake"),
                slot("oidc", "provider1", "Single Sign on", "mdi:account-key"),
                slot("oauth2", "provider1", "Example Forge", "mdi:source-branch"),
            ],
        })
    );
}

async fn without_slots_nothing_is_enabled(backend: Backend) {
    let app = TestApp::on(backend).slots(&[]).start().await;
    let mut browser = app.browser();
    let listed = browser.fetch("/auth/providers").await.is(200).json();
    assert_eq!(listed, json!({ "enabled": false, "providers": [] }));
    let page = browser.url("/auth/");
    browser.visit(&page).await.is(200);
    browser.fetch("/auth/session").await.refused(401, "session_invalid");
}

async fn the_page_has_a_button_for_each_slot(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let page = browser.url("/auth/?return_to=%2Fafter");
    let answer = browser.visit(&page).await;
    assert!(answer.is(200).header("content-type").unwrap().starts_with("text/html"));
    for slot in ["oidc/provider1", "oidc/provider2", "oauth2/provider1", "oauth2/provider2"] {
        assert!(answer.body.contains(&format!("/auth/{slot}/login?return_to=")), "{slot}: {}", answer.body);
    }
    assert!(answer.body.contains("Example Identity") && answer.body.contains("<svg"));
    assert!(!answer.body.contains("<script"), "the page needs no script");
    let evil = browser.url("/auth/?return_to=https%3A%2F%2Fevil.example");
    browser.visit(&evil).await.refused(400, "bad_request");
}

async fn h11_m22_labels_are_text_and_never_markup(backend: Backend) {
    let evil = r#"<img src=x onerror=alert(1)>"'&"#;
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_DISPLAY_LABEL", evil).start().await;
    let mut browser = app.browser();
    let page = browser.url("/auth/");
    let answer = browser.visit(&page).await;
    assert!(!answer.body.contains("<img"), "{}", answer.body);
    let listed = browser.fetch("/auth/providers").await.json();
    assert_eq!(listed["providers"][0]["display_label"], evil);
}

async fn an_unknown_icon_is_replaced(backend: Backend) {
    let app = TestApp::on(backend).slots(&["oidc/provider1", "oidc/provider2"]);
    let app = app
        .set("OIDC_PROVIDER1_ICON", "mdi:no-such-icon")
        .set("OIDC_PROVIDER2_ICON", "mdi:account-key")
        .start()
        .await;
    let mut browser = app.browser();
    let page = browser.url("/auth/");
    let answer = browser.visit(&page).await;
    let shapes: Vec<_> =
        answer.body.split(" d=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(shapes.len() >= 2, "{}", answer.body);
    let first = shapes[shapes.len() - 2];
    assert_eq!(first, shapes[shapes.len() - 1], "both buttons show the icon mdi:account-key");
}
