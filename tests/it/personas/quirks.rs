//! The peculiarities of single providers, each tested together with the normal behaviour.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portico_demo_idp::knobs::IssKnob;
use portico_demo_idp::personas::TENANT;
use portico_demo_idp::{ClientAuth, Endpoint};
use serde_json::json;

use super::Dressed;
use crate::testkit::{Backend, on_both_databases};

on_both_databases!(
    q_google_1_the_legacy_issuer_is_the_same_person_here_and_nobody_elsewhere,
    q_google_2_a_promised_issuer_must_come_back,
    q_google_5_the_hosted_domain_is_a_claim_and_missing_is_no,
    q_google_7_a_new_subject_is_a_new_person,
    google_groups_are_looked_up_page_by_page,
    google_groups_that_cannot_be_had_matter_to_who_is_judged_by_them,
    q_entra_1_a_tenant_that_is_not_listed_stays_out_and_none_is_taken_for_another,
    q_entra_5_an_address_from_another_tenant_finds_nobody,
    q_entra_6_groups_that_were_left_out_are_not_none,
    q_entra_11_pkce_is_sent_whether_or_not_it_is_advertised,
    q_entra_15_a_signed_statement_proves_who_we_are,
    q_auth0_1_q_ak_1_the_slash_at_the_end_is_part_of_the_issuer,
    q_auth0_4_claims_that_nobody_uses_may_be_anything,
    q_kc_1_a_role_of_the_realm_is_no_role_of_the_client,
    q_kc_2_roles_of_a_wrong_type_are_none,
    q_authelia_1_q_authelia_2_the_secret_is_sent_once_and_encoded,
    q_zit_3_an_audience_of_many_needs_us_as_its_party,
    q_gh_3_two_people_whose_numbers_differ_in_the_last_digit,
    q_gh_2_an_error_of_status_200_is_an_error,
    q_ap_5_an_issuer_that_flips_needs_an_alias,
    q_dc_2_the_mark_of_the_address_has_another_name,
    q_li_1_q_li_2_without_nonce_and_pkce_neither_is_missed,
);

async fn refused(dressed: &Dressed, status: u16, code: &str) {
    let before = dressed.app.rows().await;
    let mut browser = dressed.app.browser();
    dressed.try_to_log_in(&mut browser, "ada-1").await.refused(status, code);
    before.assert_same(&dressed.app.rows().await);
}

fn set(dressed: &Dressed, claim: &str, value: serde_json::Value) {
    dressed.realm().knobs(|knobs| {
        knobs.id_token.claims.set(claim, value);
    });
}

async fn q_google_1_the_legacy_issuer_is_the_same_person_here_and_nobody_elsewhere(backend: Backend) {
    let google = Dressed::start(backend, "google").await;
    let own = google.log_in("ada-1").await;
    set(&google, "iss", json!("accounts.google.com"));
    assert_eq!(google.log_in("ada-1").await["account"]["id"], own["account"]["id"]);
    assert_eq!(google.app.database.count("identities", "issuer LIKE 'http%'").await, 1);
    set(&google, "iss", json!("accounts.google.com/"));
    refused(&google, 401, "idp_token_invalid").await;
    let other = Dressed::start(backend, "nextcloud").await;
    set(&other, "iss", json!("accounts.google.com"));
    refused(&other, 401, "idp_token_invalid").await;
}

async fn q_google_2_a_promised_issuer_must_come_back(backend: Backend) {
    let google = Dressed::start(backend, "google").await;
    google.log_in("ada-1").await;
    google.realm().knobs(|knobs| knobs.authorize.iss = IssKnob::Omit);
    refused(&google, 400, "login_mixup").await;
}

async fn q_google_5_the_hosted_domain_is_a_claim_and_missing_is_no(backend: Backend) {
    let google = Dressed::start(backend, "google").await;
    google.realm().knobs(|knobs| {
        knobs.id_token.claims.remove("hd");
        knobs.userinfo.fields.set("hd", "example.com");
    });
    refused(&google, 403, "login_not_allowed").await;
    google.dress();
    google.log_in("ada-1").await;
}

async fn q_google_7_a_new_subject_is_a_new_person(backend: Backend) {
    let google = Dressed::start(backend, "google").await;
    let own = google.log_in("ada-1").await;
    google.realm().knobs(|knobs| {
        knobs.id_token.claims.set("sub", "another");
        knobs.userinfo.fields.set("sub", "another");
    });
    let other = google.log_in("ada-1").await;
    assert_ne!(other["account"]["id"], own["account"]["id"]);
    assert_eq!(other["account"]["email"], own["account"]["email"], "the email address is the same");
}

async fn google_groups_are_looked_up_page_by_page(backend: Backend) {
    let more = [("FETCH_GROUPS", "true"), ("ALLOWED_GROUPS", "admins@example.com")];
    let google = Dressed::with(backend, "google", &more).await;
    google.realm().knobs(|knobs| knobs.groups.page = Some(1));
    let who = google.log_in("ada-1").await;
    assert_eq!(who["groups"], json!(["engineering@example.com", "admins@example.com"]));
    assert_eq!(google.realm().calls(Endpoint::Groups), 2);
    let asked = google.realm().last_request(Endpoint::Groups).unwrap();
    assert!(asked.header("authorization").unwrap().starts_with("Bearer "));
    assert!(asked.query_pairs().contains(&("pageToken".to_owned(), "1".to_owned())));
    // Groups from the tokens are ignored if groups are fetched.
    set(&google, "groups", json!(["root@example.com"]));
    assert_eq!(google.log_in("ada-1").await["groups"], who["groups"]);
    // An email address that would break out of the query string is not sent to the provider.
    google.realm().knobs(|knobs| {
        knobs.id_token.claims.set("email", "a'@example.com");
        knobs.userinfo.fields.set("email", "a'@example.com");
    });
    let calls = google.realm().calls(Endpoint::Groups);
    refused(&google, 502, "idp_bad_response").await;
    assert_eq!(google.realm().calls(Endpoint::Groups), calls);
    google.dress();
    google.realm().knobs(|knobs| {
        knobs.groups.replace = Some(json!({ "memberships": [], "nextPageToken": "again" }));
    });
    let calls = google.realm().calls(Endpoint::Groups);
    refused(&google, 502, "idp_bad_response").await;
    assert_eq!(google.realm().calls(Endpoint::Groups) - calls, 10, "the number of pages is limited");
}

async fn google_groups_that_cannot_be_had_matter_to_who_is_judged_by_them(backend: Backend) {
    for (rule, passes) in
        [(("DISPLAY_LABEL", "Google"), true), (("ALLOWED_GROUPS", "admins@example.com"), false)]
    {
        let google = Dressed::with(backend, "google", &[("FETCH_GROUPS", "true"), rule]).await;
        for broken in [json!({ "memberships": "x" }), json!({ "memberships": [{}] }), json!([])] {
            google.realm().knobs(|knobs| knobs.groups.replace = Some(broken.clone()));
            if passes {
                assert_eq!(google.log_in("ada-1").await["groups"], json!(null), "{broken}");
            } else {
                refused(&google, 502, "idp_bad_response").await;
            }
        }
        google.realm().knobs(|knobs| {
            knobs.groups.replace = None;
            knobs.groups.answer.status = Some(403);
        });
        if passes {
            google.log_in("ada-1").await;
        } else {
            refused(&google, 502, "idp_bad_response").await;
        }
    }
}

async fn q_entra_1_a_tenant_that_is_not_listed_stays_out_and_none_is_taken_for_another(backend: Backend) {
    const SECOND: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
    let entra = Dressed::start(backend, "entra-id-tenants").await;
    let of = |tenant: &str| json!(format!("{}/{tenant}/v2.0", entra.realm().issuer()));
    let own = entra.log_in("ada-1").await;
    assert_eq!(entra.app.database.count("identities", &format!("issuer LIKE '%/{TENANT}/v2.0'")).await, 1);
    // The same subject in another permitted tenant is another person.
    set(&entra, "tid", json!(SECOND));
    set(&entra, "iss", of(SECOND));
    assert_ne!(entra.log_in("ada-1").await["account"]["id"], own["account"]["id"]);
    for (tid, iss, status, code) in [
        (
            "11111111-2222-3333-4444-555555555555",
            of("11111111-2222-3333-4444-555555555555"),
            403,
            "login_not_allowed",
        ),
        (TENANT, of(SECOND), 401, "idp_token_invalid"),
        (TENANT, of("{tenantid}"), 401, "idp_token_invalid"),
        (TENANT, json!(format!("{}/x", of(TENANT).as_str().unwrap())), 401, "idp_token_invalid"),
        ("common", of("common"), 401, "idp_token_invalid"),
        (TENANT, json!("http://169.254.169.254/latest"), 401, "idp_token_invalid"),
    ] {
        set(&entra, "tid", json!(tid));
        set(&entra, "iss", iss);
        refused(&entra, status, code).await;
    }
}

async fn q_entra_5_an_address_from_another_tenant_finds_nobody(backend: Backend) {
    let entra = Dressed::start(backend, "entra-id").await;
    let own = entra.log_in("ada-1").await;
    entra.realm().knobs(|knobs| {
        for claims in [&mut knobs.id_token.claims, &mut knobs.userinfo.fields] {
            claims.set("sub", "attacker").set("email", "ada@example.com").set("name", "Ada Example");
            claims.set("email_verified", true).set("preferred_username", "ada");
        }
    });
    let other = entra.log_in("ada-1").await;
    assert_ne!(other["account"]["id"], own["account"]["id"]);
    assert_ne!(other["account"]["name"], own["account"]["name"]);
}

async fn q_entra_6_groups_that_were_left_out_are_not_none(backend: Backend) {
    let entra = Dressed::start(backend, "entra-id").await;
    entra.realm().knobs(|knobs| {
        knobs.id_token.claims.remove("groups");
        knobs.id_token.claims.set("_claim_names", json!({ "groups": "src1" }));
        let canary = json!({ "src1": { "endpoint": "http://169.254.169.254/groups" } });
        knobs.id_token.claims.set("_claim_sources", canary);
    });
    let who = entra.log_in("ada-1").await;
    assert_eq!((&who["groups"], &who["groups_overage"]), (&json!(null), &json!(true)));
    let gated =
        Dressed::with(backend, "entra-id", &[("ALLOWED_GROUPS", "0f1e2d3c-0000-4000-8000-00000000aaaa")])
            .await;
    gated.log_in("ada-1").await;
    gated.realm().knobs(|knobs| {
        knobs.id_token.claims.remove("groups").set("hasgroups", true);
    });
    refused(&gated, 403, "login_not_allowed").await;
}

async fn q_entra_11_pkce_is_sent_whether_or_not_it_is_advertised(backend: Backend) {
    let entra = Dressed::start(backend, "entra-id").await;
    let mut client = (*entra.realm().first_client().unwrap()).clone();
    client.pkce_required = true;
    entra.realm().put_client(client);
    entra.log_in("ada-1").await;
}

async fn q_entra_15_a_signed_statement_proves_who_we_are(backend: Backend) {
    let keys =
        || EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let (own, other) = (keys(), keys());
    let pem = |der: &[u8]| {
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
    };
    let mut entra = Dressed::start(backend, "entra-id").await;
    let public = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, own.as_ref()).unwrap();
    let mut client = (*entra.realm().first_client().unwrap()).clone();
    client.auth = ClientAuth::PrivateKey(public.public_key().as_ref().to_vec());
    entra.realm().put_client(client);
    let settings = |key: &str| {
        [
            ("OIDC_PROVIDER1_CLIENT_SECRET", None),
            ("OIDC_PROVIDER1_TOKEN_ENDPOINT_AUTH_METHOD", Some("private_key_jwt".to_owned())),
            ("OIDC_PROVIDER1_CLIENT_KEY", Some(key.to_owned())),
            ("OIDC_PROVIDER1_CLIENT_KEY_ID", Some("k1".to_owned())),
        ]
    };
    for (key, passes) in [(pem(own.as_ref()), true), (pem(other.as_ref()), false)] {
        let settings = settings(&key);
        let changes: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_deref())).collect();
        entra.app.restart(&changes).await;
        if passes {
            entra.log_in("ada-1").await;
            entra.log_in("ada-1").await;
            let form = entra.realm().last_request(Endpoint::Token).unwrap().form();
            assert!(form.iter().all(|(name, _)| name != "client_secret"), "{form:?}");
        } else {
            refused(&entra, 401, "code_rejected").await;
        }
    }
}

async fn q_auth0_1_q_ak_1_the_slash_at_the_end_is_part_of_the_issuer(backend: Backend) {
    for name in ["auth0", "authentik"] {
        let dressed = Dressed::start(backend, name).await;
        dressed.log_in("ada-1").await;
        set(&dressed, "iss", json!(dressed.realm().issuer()));
        refused(&dressed, 401, "idp_token_invalid").await;
    }
}

async fn q_auth0_4_claims_that_nobody_uses_may_be_anything(backend: Backend) {
    let auth0 = Dressed::start(backend, "auth0").await;
    for value in [json!(7), json!([1, { "a": null }]), json!({}), json!(null), json!("2026"), json!(false)] {
        for claim in
            ["updated_at", "picture", "locale", "zoneinfo", "birthdate", "address", "phone_number_verified"]
        {
            set(&auth0, claim, value.clone());
        }
        auth0.log_in("ada-1").await;
    }
    // The claims may also be much larger than one kilobyte.
    set(&auth0, "https://app.example.com/permissions", json!("x".repeat(100_000)));
    auth0.log_in("ada-1").await;
}

async fn q_kc_1_a_role_of_the_realm_is_no_role_of_the_client(backend: Backend) {
    let more = [("GROUPS_CLAIM", "/resource_access/my.app~1v1/roles"), ("ALLOWED_GROUPS", "editor")];
    let keycloak = Dressed::with(backend, "keycloak", &more).await;
    assert_eq!(keycloak.log_in("ada-1").await["groups"], json!(["editor"]));
    set(&keycloak, "realm_access", json!({ "roles": ["editor"] }));
    set(&keycloak, "resource_access", json!({ "my": { "app/v1": { "roles": ["editor"] } } }));
    refused(&keycloak, 403, "login_not_allowed").await;
}

async fn q_kc_2_roles_of_a_wrong_type_are_none(backend: Backend) {
    let keycloak = Dressed::start(backend, "keycloak").await;
    for roles in [json!("x"), json!(7), json!(null), json!([["engineering"]]), json!([7])] {
        set(&keycloak, "realm_access", json!({ "roles": roles }));
        keycloak.realm().knobs(|knobs| {
            knobs.userinfo.fields.remove("groups");
        });
        refused(&keycloak, 403, "login_not_allowed").await;
    }
    for odd in [json!([]), json!("engineering"), json!(null)] {
        set(&keycloak, "realm_access", odd);
        refused(&keycloak, 403, "login_not_allowed").await;
    }
    keycloak.dress();
    keycloak.log_in("ada-1").await;
}

async fn q_authelia_1_q_authelia_2_the_secret_is_sent_once_and_encoded(backend: Backend) {
    for secret in ["a:b", "p%q", "a+b", "\u{e4}", "a b&c=d"] {
        let authelia = Dressed::with(backend, "authelia", &[("CLIENT_SECRET", secret)]).await;
        let mut client = (*authelia.realm().first_client().unwrap()).clone();
        client.auth = ClientAuth::basic(secret);
        authelia.realm().put_client(client);
        authelia.log_in("ada-1").await;
        let asked = authelia.realm().last_request(Endpoint::Token).unwrap();
        assert!(asked.header("authorization").unwrap().starts_with("Basic "));
        assert!(
            asked.form().iter().all(|(name, _)| name != "client_secret" && name != "client_id"),
            "{asked:?}"
        );
    }
}

async fn q_zit_3_an_audience_of_many_needs_us_as_its_party(backend: Backend) {
    let zitadel = Dressed::start(backend, "zitadel").await;
    zitadel.log_in("ada-1").await;
    set(&zitadel, "azp", json!("311009876543210987"));
    refused(&zitadel, 401, "idp_token_invalid").await;
    zitadel.dress();
    set(&zitadel, "aud", json!(["311001234567890123@project", "311009876543210987"]));
    refused(&zitadel, 401, "idp_token_invalid").await;
}

async fn q_gh_3_two_people_whose_numbers_differ_in_the_last_digit(backend: Backend) {
    let github = Dressed::start(backend, "github").await;
    let own = github.log_in("ada-1").await;
    let id = |value: serde_json::Value| {
        github.realm().knobs(|knobs| {
            knobs.userinfo.fields.set("id", value);
        });
    };
    id(json!(9_007_199_254_740_992_u64));
    assert_ne!(github.log_in("ada-1").await["account"]["id"], own["account"]["id"]);
    assert_eq!(github.app.database.count("identities", "subject = '9007199254740993'").await, 1);
    for odd in [json!(1e3), json!(1.0), json!(""), json!(null), json!(0), json!([7]), json!(true)] {
        id(odd);
        refused(&github, 401, "idp_claims_incomplete").await;
    }
}

async fn q_gh_2_an_error_of_status_200_is_an_error(backend: Backend) {
    let github = Dressed::start(backend, "github").await;
    github.realm().knobs(|knobs| {
        let error = "bad_verification_code".to_owned();
        knobs.token.error = Some(portico_demo_idp::knobs::TokenError { status: 200, error });
    });
    refused(&github, 401, "code_rejected").await;
    github.dress();
    github.log_in("ada-1").await;
}

async fn q_ap_5_an_issuer_that_flips_needs_an_alias(backend: Backend) {
    let mut apple = Dressed::start(backend, "apple").await;
    let own = apple.log_in("ada-1").await;
    set(&apple, "iss", json!("https://account.apple.com"));
    refused(&apple, 401, "idp_token_invalid").await;
    let issuer = apple.realm().issuer().to_owned();
    apple
        .app
        .restart(&[
            ("OIDC_PROVIDER1_ISSUER", Some(&issuer)),
            ("OIDC_PROVIDER1_ISSUER_ALIASES", Some("https://account.apple.com")),
        ])
        .await;
    assert_eq!(apple.log_in("ada-1").await["account"]["id"], own["account"]["id"]);
}

async fn q_dc_2_the_mark_of_the_address_has_another_name(backend: Backend) {
    let more = [("ALLOWED_SUBJECTS", ""), ("ALLOWED_EMAIL_DOMAINS", "example.com")];
    let discord = Dressed::with(backend, "discord", &more).await;
    discord.log_in("ada-1").await;
    for verified in [json!(false), json!("yes"), json!(1), json!(null)] {
        discord.realm().knobs(|knobs| {
            knobs.userinfo.fields.set("verified", verified).set("email_verified", true);
        });
        refused(&discord, 403, "login_not_allowed").await;
    }
}

async fn q_li_1_q_li_2_without_nonce_and_pkce_neither_is_missed(backend: Backend) {
    let linkedin = Dressed::start(backend, "linkedin").await;
    let mut browser = linkedin.app.browser();
    let authorization = browser.start(linkedin.slot).await;
    assert!(authorization.query_pairs().all(|(name, _)| !name.starts_with("code_challenge")));
    linkedin.log_in("ada-1").await;
    let form = linkedin.realm().last_request(Endpoint::Token).unwrap().form();
    assert!(form.iter().all(|(name, _)| name != "code_verifier"));
    set(&linkedin, "nonce", json!("of another login"));
    refused(&linkedin, 401, "idp_token_invalid").await;
}
