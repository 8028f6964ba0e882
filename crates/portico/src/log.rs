//! Logging to standard error: one line per event, JSON for machines, text for a terminal.
//!
//! No line contains a secret, whatever the filter (threats H09, L08): the types of Portico do not print them,
//! and `DENIED_TARGETS` drops the lines of dependencies that would.

use std::fmt;
use std::io::IsTerminal as _;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt as layer};

use crate::settings::LogFormat;
use crate::traces::Traces;

/// Modules of dependencies, with their submodules, that no filter can enable. The connection options log
/// unknown parameters with their values, and unreadable lines of a password file with their content.
const DENIED_TARGETS: [&str; 1] = ["sqlx_postgres::options"];

/// Installs the log and, with `traces`, the export of spans. `filter` is a level or filter directives.
///
/// # Errors
/// The filter does not parse, or a subscriber is installed already.
pub(crate) fn init(
    format: LogFormat,
    filter: &str,
    traces: Option<&Traces>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let lines = layer::layer().with_writer(std::io::stderr);
    let registry =
        tracing_subscriber::registry().with(traces.map(Traces::layer)).with(EnvFilter::try_new(filter)?);
    match format {
        LogFormat::Json => registry
            .with(lines.fmt_fields(JsonFields).event_format(JsonLine))
            .with(RedactingFilter)
            .try_init(),
        LogFormat::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_target(false);
            registry.with(lines).with(RedactingFilter).try_init()
        }
    }?;
    Ok(())
}

/// Drops events of `DENIED_TARGETS` before the filter runs.
struct RedactingFilter;

impl RedactingFilter {
    fn allows(metadata: &Metadata<'_>) -> bool {
        !DENIED_TARGETS.iter().any(|module| {
            let rest = metadata.target().strip_prefix(module);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
    }
}

impl<S: Subscriber> Layer<S> for RedactingFilter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::allows(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        Self::allows(metadata)
    }
}

/// Stores the fields of a span as a JSON object.
struct JsonFields;

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut map = Fields::default();
        fields.record(&mut map);
        write!(writer, "{}", Value::Object(map.0))
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        let mut map = Fields(serde_json::from_str(&current.fields).unwrap_or_default());
        fields.record(&mut map);
        current.fields = Value::Object(map.0).to_string();
        Ok(())
    }
}

/// One event as one line of JSON, with the fields of the event and of its spans.
struct JsonLine;

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonFields> for JsonLine {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), Value::String(time));
        line.insert("level".to_owned(), Value::String(event.metadata().level().to_string()));
        let mut own = Fields::default();
        event.record(&mut own);
        line.insert("message".to_owned(), own.0.remove("message").unwrap_or_default());
        line.insert("target".to_owned(), Value::String(event.metadata().target().to_owned()));
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>()
                && let Ok(Value::Object(fields)) = serde_json::from_str(&fields.fields)
            {
                line.extend(fields);
            }
        }
        line.extend(own.0);
        writeln!(writer, "{}", Value::Object(line))
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
