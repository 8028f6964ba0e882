//! The traits of [`portico_core::store`], implemented once for both databases: each method is one statement
//! or one transaction. Longer transactions are functions of [`crate::pool::Sql`] in modules of their own.

/// Runs a transaction, and runs it a second time if the database rolled it back in favour of another one.
macro_rules! again {
    ($attempt:expr) => {
        match $attempt.await {
            Err(error) if error.lost_a_race() => Ok($attempt.await?),
            other => Ok(other?),
        }
    };
}

mod admin;
mod key;
mod login;
mod session;
mod system;
