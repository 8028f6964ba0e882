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
    /// These numbers mean "off"; with the default, this warning.
    Off(&'static [&'static str], &'static str),
    /// Whatever it is; with anything but nothing, this warning.
    Anything(&'static str),
}

static NOT_YET: [NotYet; 2] = [
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
        Accepts::Off(words, _) if words.iter().any(|word| is(word)) => {}
        Accepts::Off(_, warning) if default => report.warnings.push(warning.to_owned()),
        Accepts::Anything(_) if default => {}
        Accepts::Anything(warning) => report.warnings.push(warning.to_owned()),
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
    let not_yet = NOT_YET.iter().any(|not_yet| std::ptr::eq(not_yet.row, row));
    not_yet.then(|| "Not supported yet.".to_owned())
}
