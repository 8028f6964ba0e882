//! The `ERROR` lines of an application. A test fails if it does not expect them.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, Mutex, Once, Weak};

use actix_web::rt::System;
use tokio::runtime::Handle;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The error logs of all applications in this process.
static LOGS: LazyLock<Mutex<Vec<Weak<Inner>>>> = LazyLock::new(Mutex::default);

/// The origin of an event: the threads of an actix system, or those of a tokio runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    System(usize),
    Runtime(tokio::runtime::Id),
}

impl Source {
    fn current() -> Option<Self> {
        let system = System::try_current().map(|system| Self::System(system.id()));
        system.or_else(|| Handle::try_current().ok().map(|runtime| Self::Runtime(runtime.id())))
    }
}

#[derive(Default)]
struct Inner {
    sources: Mutex<HashSet<Source>>,
    lines: Mutex<Vec<String>>,
    expected: Mutex<Vec<String>>,
}

/// The `ERROR` lines of one application and its replicas. Dropping it checks them.
#[derive(Clone, Default)]
pub struct ErrorLog(Arc<Inner>);

impl ErrorLog {
    /// A log of the events of the current runtime.
    pub fn start() -> Self {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| tracing::subscriber::set_global_default(Collector).unwrap());
        let log = Self::default();
        log.include_current();
        let mut logs = LOGS.lock().unwrap();
        logs.retain(|log| log.strong_count() > 0);
        logs.push(Arc::downgrade(&log.0));
        log
    }

    /// Adds the events of the current system or runtime.
    pub fn include_current(&self) {
        self.0
            .sources
            .lock()
            .unwrap()
            .insert(Source::current().expect("a current actix system or tokio runtime"));
    }

    /// Expects at least one line that contains `words`; all lines that contain them are permitted.
    pub fn expect(&self, words: &str) {
        self.0.expected.lock().unwrap().push(words.to_owned());
    }

    /// The lines that were logged but not expected, and the texts that were expected but not logged.
    pub fn problems(&self) -> Vec<String> {
        let (lines, expected) = (self.0.lines.lock().unwrap(), self.0.expected.lock().unwrap());
        let is_expected = |line: &&String| expected.iter().any(|words| line.contains(words.as_str()));
        let is_logged = |words: &&String| lines.iter().any(|line| line.contains(words.as_str()));
        let unexpected =
            lines.iter().filter(|line| !is_expected(line)).map(|line| format!("unexpected: {line}"));
        let missing = expected.iter().filter(|words| !is_logged(words));
        unexpected.chain(missing.map(|words| format!("never logged: {words}"))).collect()
    }
}

/// Checks an [`ErrorLog`] at the end of a test.
pub struct CheckedOnDrop(pub ErrorLog);

impl Drop for CheckedOnDrop {
    fn drop(&mut self) {
        let problems = self.0.problems();
        if !std::thread::panicking() {
            assert!(problems.is_empty(), "ERROR lines:\n{}", problems.join("\n"));
        }
    }
}

/// Appends each `ERROR` event to the logs of its source.
struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() == tracing::Level::ERROR
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::ERROR)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        let source = Source::current();
        let logs: Vec<_> = LOGS.lock().unwrap().iter().filter_map(Weak::upgrade).collect();
        for log in logs {
            // An event without a source is appended to all logs, so that no error is missed.
            if source.is_none_or(|source| log.sources.lock().unwrap().contains(&source)) {
                log.lines.lock().unwrap().push(line.0.clone());
            }
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event as one line of text.
struct Line(String);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            write!(self.0, " {value:?}").unwrap();
        } else {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorLog;

    #[tokio::test]
    async fn an_error_that_nobody_expects_is_a_problem() {
        let log = ErrorLog::start();
        tracing::warn!("a warning");
        tracing::error!(code = "x", "an error");
        assert_eq!(log.problems().len(), 1, "{:?}", log.problems());
        log.expect("an error");
        assert!(log.problems().is_empty(), "{:?}", log.problems());
    }

    #[tokio::test]
    async fn an_expected_error_that_is_not_logged_is_a_problem() {
        let log = ErrorLog::start();
        log.expect("an error");
        assert_eq!(log.problems(), ["never logged: an error"]);
    }
}
