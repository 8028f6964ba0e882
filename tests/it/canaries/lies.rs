//! What a provider may do wrong, one thing at a time, each with marks in it.

use portico_demo_idp::knobs::{Answer as OtlpHttp, Knobs, Signing, StateKnob, TokenError};
use serde_json::json;

pub(super) const DESCRIPTION: &str = "canary-error-description";
pub(super) const BODY: &str = "canary-body-of-a-provider";
pub(super) const FORGED: &str = "canary-forged-token.canary-forged-payload.canary-forged-signature";

type Bend = fn(&mut Knobs);

/// Each with what a person is told then.
pub(super) fn lies(oidc: bool) -> Vec<(u16, Bend)> {
    let mut lies = of_every_provider();
    lies.extend(if oidc { of_openid() } else { of_oauth2() });
    lies
}

fn of_every_provider() -> Vec<(u16, Bend)> {
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
        (502, |knobs| knobs.token.answer = said(200, BODY)),
        (502, |knobs| knobs.token.answer = said(500, BODY)),
        (401, |knobs| {
            knobs.token.answer =
                said(400, &json!({ "error": "invalid_grant", "error_description": BODY }).to_string());
        }),
        (502, |knobs| {
            knobs.token.answer = said(200, &json!({ "access_token": BODY, "expires_in": BODY }).to_string());
        }),
        (502, |knobs| {
            knobs.token.answer = OtlpHttp {
                redirect: Some((302, format!("https://evil.example/{BODY}"))),
                ..OtlpHttp::default()
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
            knobs.userinfo.answer = said(200, BODY);
        }),
    ]
}

fn of_oauth2() -> Vec<(u16, Bend)> {
    vec![
        (502, |knobs| knobs.userinfo.answer = said(200, BODY)),
        (502, |knobs| knobs.userinfo.answer = said(500, BODY)),
        (401, |knobs| {
            knobs.userinfo.fields.remove("sub");
        }),
    ]
}

fn said(status: u16, body: &str) -> OtlpHttp {
    OtlpHttp { status: Some(status), body: Some(body.into()), ..OtlpHttp::default() }
}
