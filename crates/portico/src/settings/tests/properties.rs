//! Properties of the settings for arbitrary texts.

use proptest::prelude::*;

use super::super::table::{Setting, SettingKind as Form};
use super::*;

/// All settings of a service with one slot of each protocol.
fn any_setting() -> impl Strategy<Value = Setting> {
    let lists = ["security.oidc_providers", "security.oauth2_providers"];
    let all: Vec<_> = Setting::all()
        .filter(|setting| setting.slot.is_none_or(|slot| slot.name == SlotName::Provider1))
        .filter(|setting| !lists.contains(&setting.spec.path))
        .collect();
    prop::sample::select(all)
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,40}",
        "-?[0-9]{0,22}[smhd]?",
        r#"[\[{]("[a-z]{0,4}"[:,]?){0,4}[\]}]"#,
        "(https?|javascript|file)://[a-z.@:/?#]{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A text is accepted or refused by name. The text of a secret never appears in the output.
    #[test]
    fn m15_h09_any_text_is_taken_or_refused_by_name(setting in any_setting(), text in any_text()) {
        let variable = format!("PORTICO_{}", setting.variable());
        let all = [&OIDC[..], &OAUTH2[..], &[(variable.as_str(), text.as_str())][..]];
        let said = match load(&all) {
            Ok(loaded) => {
                let warnings = loaded.warnings.join("\n");
                [render(&loaded, false), render(&loaded, true), format!("{loaded:?}"), warnings].concat()
            }
            Err(mistakes) => {
                let names_it = mistakes.iter().any(|mistake| mistake.contains(&variable));
                prop_assert!(names_it, "{variable}: {mistakes:?}");
                prop_assert!(mistakes.iter().all(|mistake| !mistake.contains('\n')), "{mistakes:?}");
                mistakes.join("\n")
            }
        };
        if matches!(setting.spec.kind, Form::Secret | Form::Secrets) && text.len() >= 12 {
            prop_assert!(!said.contains(&text), "{variable}: {said}");
        }
    }

    /// A file is accepted, or refused by its name.
    #[test]
    fn m15_any_file_is_read_or_refused_by_name(
        content in prop_oneof![
            any::<String>(),
            r#"(\[?[a-z_.]{0,12}\]?( ?= ?("[ -~&&[^"\\]]{0,8}"|[0-9]{1,4}|true|\[\]))?
){0,6}"#,
        ],
    ) {
        let file = TempFile::new(&content);
        if let Err(mistakes) = load(&[&[("PORTICO_CONFIG", file.name())]]) {
            let by_name = |mistake: &String| {
                mistake.contains(file.name()) || mistake.contains("PORTICO_CONFIG")
            };
            prop_assert!(mistakes.iter().all(by_name), "{mistakes:?}");
        }
    }
}
