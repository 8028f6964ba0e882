//! Faults of a provider, one at a time, most of them with a marked value.

use portico_demo_idp::knobs::{Answer as ProviderAnswer, Knobs, Signing, StateKnob, TokenError};
use serde_json::json;

/// The `error_description` of an authorization error.
pub(super) const DESCRIPTION: &str = "canary-error-description";
/// The body of a malformed provider response.
pub(super) const BODY: &str = "canary-body-of-a-provider";
/// A forged token in the form of a JWT.
pub(super) const FORGED: &str = "canary-forged-token.canary-forged-payload.canary-forged-signature";

/// Switches a fault on.
type Bend = fn(&mut Knobs);

/// The faults of a provider of this protocol, each with the status of the callback's response.
pub(super) fn lies(oidc: bool) -> Vec<(u16, Bend)> {
    let mut lies = of_any_provider();
    lies.extend(if oidc { of_openid() } else { of_oauth2() });
    lies
}

fn of_any_provider() -> Vec<(u16, Bend)> {
    vec![
        (400, |knobs| knobs.authorize.state = StateKnob::Replace("canary-other-state-0123456789".to_owned())),
        (400, |knobs| knobs.authorize.state = StateKnob::Drop),
        (403, |knobs| {
            knobs.authorize.error = Some("access_denied".to_owned());
            knobs.authorize.extra = vec![("error_description".to_owned(), DESCRIPTION.to_owned())];
        }),
        (502, |knobs| knobs.authorize.error = Some("server_error".to_owned())),
        (401, |knobs| knobs.authorize.code = Some("canary-wrong-code-0123456789".to_owned())),
        (401, |knobs| {
            knobs.token.error = Some(TokenError { status: 400, error: "invalid_grant".to_owned() });
        }),
        (502, |knobs| knobs.token.answer = body(200, BODY)),
        (502, |knobs| knobs.token.answer = body(500, BODY)),
        (401, |knobs| {
            knobs.token.answer =
                body(400, &json!({ "error": "invalid_grant", "error_description": BODY }).to_string());
        }),
        (502, |knobs| {
            knobs.token.answer = body(200, &json!({ "access_token": BODY, "expires_in": BODY }).to_string());
        }),
        (502, |knobs| {
            knobs.token.answer = ProviderAnswer {
                redirect: Some((302, format!("https://evil.example/{BODY}"))),
                ..ProviderAnswer::default()
            };
        }),
    ]
}

fn of_openid() -> Vec<(u16, Bend)> {
    vec![
        (401, |knobs| knobs.id_token.signing = Signing::UnpublishedKey),
        (401, |knobs| knobs.id_token.signing = Signing::None),
        (401, |knobs| knobs.id_token.raw = Some(FORGED.to_owned())),
        (401, |knobs| knobs.id_token.omit = true),
        (401, |knobs| {
            knobs.id_token.claims.set("nonce", "canary-wrong-nonce-0123456789");
        }),
        (401, |knobs| {
            knobs.id_token.claims.set("exp", 1);
        }),
        (401, |knobs| {
            knobs.id_token.claims.set("sub", json!({ "is": "canary-claim-in-the-token" }));
        }),
        (401, |knobs| {
            knobs.id_token.claims.set("at_hash", "canary-wrong-hash");
        }),
        (401, |knobs| {
            knobs.id_token.profile_only_at_userinfo = true;
            knobs.userinfo.fields.set("sub", "canary-subject-of-another");
        }),
        (303, |knobs| {
            knobs.id_token.profile_only_at_userinfo = true;
            knobs.userinfo.answer = body(200, BODY);
        }),
    ]
}

fn of_oauth2() -> Vec<(u16, Bend)> {
    vec![
        (502, |knobs| knobs.userinfo.answer = body(200, BODY)),
        (502, |knobs| knobs.userinfo.answer = body(500, BODY)),
        (401, |knobs| {
            knobs.userinfo.fields.remove("sub");
        }),
    ]
}

/// A response of the provider with this status and body.
fn body(status: u16, body: &str) -> ProviderAnswer {
    ProviderAnswer { status: Some(status), body: Some(body.into()), ..ProviderAnswer::default() }
}
