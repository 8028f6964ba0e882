//! Output of the command line: results on standard output, notices and failures on standard error.

use std::fmt::Display;
use std::io::Write as _;

/// Writes the result of a command. A closed pipe (`| head`) is ignored.
pub(crate) fn print_out(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes a notice or a failure.
#[expect(clippy::print_stderr, reason = "the command line answers the operator on standard error")]
pub(crate) fn print_err(text: &dyn Display) {
    eprintln!("{text}");
}
