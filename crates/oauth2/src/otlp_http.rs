//! Sends what the operator asked to be told elsewhere: traces to their collector. No provider is involved.

use std::time::Duration;

use reqwest::Client;

/// How long a delivery may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A way to one receiver, by the same HTTP library as everything else: no redirect, no proxy of the environment.
#[derive(Debug, Clone)]
pub struct OtlpHttp(Client);

/// Nothing was delivered.
#[derive(Debug, thiserror::Error)]
#[error("nothing was delivered")]
pub struct OtlpHttpError(#[source] reqwest::Error);

impl OtlpHttp {
    /// Makes the client.
    ///
    /// # Errors
    /// When the system's certificates or the TLS library cannot be used.
    pub fn new() -> Result<Self, OtlpHttpError> {
        let client =
            Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().timeout(PATIENCE);
        client.build().map(Self).map_err(OtlpHttpError)
    }

    /// Posts a body; the answer's status and body, whatever they are.
    ///
    /// # Errors
    /// When there is no answer within five seconds.
    pub async fn post(
        &self,
        url: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), OtlpHttpError> {
        let call = self.0.post(url).header(reqwest::header::CONTENT_TYPE, content_type).body(body);
        let answer = call.send().await.map_err(OtlpHttpError)?;
        let status = answer.status().as_u16();
        Ok((status, answer.bytes().await.map_err(OtlpHttpError)?.to_vec()))
    }
}
