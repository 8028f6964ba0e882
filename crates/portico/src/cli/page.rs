//! The options of every list, and how a list is printed.

use std::str::FromStr;

use clap::Args;
use serde_json::Value;

use crate::output::{print_err, print_out};

/// The part of a list to print, and its format.
#[derive(Debug, Args)]
pub(super) struct Page<T: Clone + Send + Sync + FromStr<Err: std::error::Error + Send + Sync> + 'static> {
    /// Maximum number of entries
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(super) limit: u32,
    /// Only entries after the one with this id
    #[arg(long, value_name = "ID")]
    pub(super) after: Option<T>,
    /// Answer in JSON: an array
    #[arg(long)]
    pub(super) json: bool,
}

impl<T: Clone + Send + Sync + FromStr<Err: std::error::Error + Send + Sync> + 'static> Page<T> {
    /// Prints the list. If the limit may have cut it, a notice names the next page.
    pub(super) fn print_out<R>(
        &self,
        rows: &[R],
        json: fn(&R) -> Value,
        line: fn(&R) -> String,
        id: fn(&R) -> String,
    ) {
        if self.json {
            return print_out(&rows.iter().map(json).collect::<Value>().to_string());
        }
        for row in rows {
            print_out(&line(row));
        }
        if let Some(last) = rows.last().filter(|_| rows.len() >= self.limit as usize) {
            print_err(&format!("There may be more: --after {}", id(last)));
        }
    }
}
