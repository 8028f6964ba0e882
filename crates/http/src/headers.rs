//! Reading request headers.

use actix_web::http::header::{self, HeaderMap, HeaderName};

/// The value of a header that occurs exactly once.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name);
    let first = values.next()?;
    values.next().is_none().then(|| first.to_str().ok())?
}

/// Whether `Content-Type` names this media type.
pub(crate) fn is_of_kind(headers: &HeaderMap, kind: &str) -> bool {
    let own = one(headers, &header::CONTENT_TYPE).and_then(|own| own.split(';').next());
    own.is_some_and(|own| own.trim().eq_ignore_ascii_case(kind))
}

/// Whether `Accept` names this media type.
pub(crate) fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT).filter_map(|line| line.to_str().ok());
    let mut kinds = lines.flat_map(|line| line.split(',')).filter_map(|range| range.split(';').next());
    kinds.any(|own| own.trim().eq_ignore_ascii_case(kind))
}
