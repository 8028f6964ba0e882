//! Test fixtures.
//!
//! [`TestApp`] is the real application with its environment, [`Browser`] a browser, [`Answer`] an HTTP
//! answer, [`Backend`] the database system, and [`Program`] the binary as an operator starts it.

mod answer;
mod app;
#[expect(clippy::disallowed_methods, reason = "tests create databases with random names")]
mod backend;
mod browser;
mod error_log;
mod faulty;
mod form;
mod jar;
mod lie;
#[expect(clippy::disallowed_methods, reason = "tests measure durations")]
mod program;
mod raw;
mod relay;
mod rows;
pub mod running;

pub use answer::Answer;
pub use app::{SECRET_KEY, TestApp, slot_variables};
pub use backend::{Backend, Database};
pub use browser::{Browser, Request};
pub use error_log::{CheckedOnDrop, ErrorLog};
pub use faulty::Faulty;
pub use form::Form;
pub use jar::{Cookie, Jar, SetCookie};
pub use lie::{Lie, tell};
pub use program::{Output, Program, Service};
pub use raw::raw;
pub use relay::Relay;
pub use rows::Rows;

/// Defines two tests for each function, one on SQLite and one on PostgreSQL.
macro_rules! on_both_databases {
    ($($story:ident),* $(,)?) => {$(
        mod $story {
            #[tokio::test]
            async fn sqlite() {
                super::$story($crate::testkit::Backend::Sqlite).await;
            }

            #[tokio::test]
            async fn postgres() {
                if $crate::testkit::Backend::Postgres.is_here(concat!(module_path!(), "::postgres")) {
                    super::$story($crate::testkit::Backend::Postgres).await;
                }
            }
        }
    )*};
}

/// Defines a PostgreSQL test for each function that needs several processes; SQLite supports only one.
macro_rules! on_postgres {
    ($($story:ident),* $(,)?) => {$(
        mod $story {
            #[tokio::test]
            async fn postgres() {
                if $crate::testkit::Backend::Postgres.is_here(concat!(module_path!(), "::postgres")) {
                    super::$story($crate::testkit::Backend::Postgres).await;
                }
            }
        }
    )*};
}
pub(crate) use {on_both_databases, on_postgres};
