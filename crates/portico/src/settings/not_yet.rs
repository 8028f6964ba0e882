//! Settings of features that are not there yet: the one list of what they may say until then.
//!
//! Nothing is accepted and then ignored in silence. Every value is read into its final type all the same: when a
//! feature comes, its line goes away here.

use config::ValueKind;

use super::mistake::{Mistake, Report};
use super::reader::Known;
use super::table::{self, OTLP_ENDPOINT, Otherwise, Row, Setting};
use super::values::decode;

/// What a setting may say besides its default.
struct NotYet {
    row: &'static Row,
    accepts: Accepts,
}

enum Accepts {
    /// These words only.
    Only(&'static [&'static str]),
    /// These numbers mean "off"; with the default, this warning.
    Off(&'static [&'static str], &'static str),
    /// Whatever it is; with anything but nothing, this warning.
    Anything(&'static str),
}

const fn only(row: &'static Row, words: &'static [&'static str]) -> NotYet {
    NotYet { row, accepts: Accepts::Only(words) }
}

static NOT_YET: [NotYet; 10] = [
    only(&table::RESPONSE_MODE, &[]),
    only(&table::TOKEN_ENDPOINT_AUTH_METHOD, &["none", "client_secret_basic", "client_secret_post"]),
    only(&table::CLIENT_KEY, &[]),
    only(&table::CLIENT_KEY_ID, &[]),
    only(&table::CLIENT_CERTIFICATE, &[]),
    only(&table::FETCH_GROUPS, &[]),
    only(&table::CLOUDIDENTITY_URL, &[]),
    only(&table::EMAILS_URL, &[]),
    NotYet {
        row: &table::RATE_LIMIT,
        accepts: Accepts::Off(
            &["0"],
            "server.rate_limit: there are no rate limits yet; put them into your proxy, and set it to 0",
        ),
    },
    // To trust nobody's header is the safe side.
    NotYet {
        row: &table::TRUSTED_PROXIES,
        accepts: Accepts::Anything(
            "server.trusted_proxies: X-Forwarded-For is not believed yet, whoever sends it",
        ),
    },
];

/// Notes what a setting says too early.
pub(super) fn check(setting: &Setting, known: &Known, report: &mut Report) {
    let not_yet = NOT_YET.iter().find(|not_yet| std::ptr::eq(not_yet.row, setting.row));
    let (Some(not_yet), Some(found)) = (not_yet, known.find(setting)) else { return };
    let kind = &setting.row.kind;
    let value = found.value.shown(kind);
    let is = |text: &str| {
        decode(kind, &ValueKind::String(text.to_owned())).is_ok_and(|other| other.shown(kind) == value)
    };
    let default = match setting.otherwise() {
        Otherwise::Is(text) => is(text),
        Otherwise::Required | Otherwise::Unset(_) => false,
    };
    match not_yet.accepts {
        Accepts::Only(words) if default || words.iter().any(|word| is(word)) => {}
        Accepts::Off(words, _) if words.iter().any(|word| is(word)) => {}
        Accepts::Off(_, warning) if default => report.warnings.push(warning.to_owned()),
        Accepts::Anything(_) if default => {}
        Accepts::Anything(warning) => report.warnings.push(warning.to_owned()),
        Accepts::Only(_) => {
            report.mistakes.push(known.mistake(setting, "is not supported yet; leave it out"));
        }
        Accepts::Off(..) => {
            let message = "is not supported yet; leave it out, or set it to 0";
            report.mistakes.push(known.mistake(setting, message));
        }
    }
}

/// Notes a wish for traces.
pub(super) fn check_traces(known: &Known, report: &mut Report) {
    if known.otlp_endpoint().is_some_and(|endpoint| !endpoint.is_empty()) {
        report.mistakes.push(Mistake::variable(OTLP_ENDPOINT, "traces are not supported yet; unset it"));
    }
}

/// What the documents must say of a setting whose feature is missing.
#[cfg(test)]
pub(super) fn remark(row: &Row) -> Option<String> {
    let not_yet = NOT_YET.iter().find(|not_yet| std::ptr::eq(not_yet.row, row))?;
    let (Accepts::Only(accepted), table::Kind::Choice(words), Otherwise::Is(default)) =
        (&not_yet.accepts, &row.kind, row.otherwise)
    else {
        return Some("Not supported yet.".to_owned());
    };
    let refused: Vec<_> =
        words.iter().filter(|word| **word != default && !accepted.contains(*word)).collect();
    let refused: Vec<_> = refused.into_iter().map(|word| format!("`{word}`")).collect();
    Some(format!("Not supported yet: {}.", refused.join(", ")))
}
