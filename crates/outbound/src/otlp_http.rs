//! Sends traces to the collector of the operator, by OTLP over HTTP.

use std::time::Duration;

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;

/// Time limit for one export.
const TIMEOUT: Duration = Duration::from_secs(5);

/// An HTTP client for the collector. It follows no redirect and uses no proxy of the environment.
#[derive(Debug, Clone)]
pub struct OtlpHttp(Client);

/// The export failed.
#[derive(Debug, thiserror::Error)]
#[error("nothing was delivered")]
pub struct OtlpHttpError(#[source] reqwest::Error);

impl OtlpHttp {
    /// Creates the client.
    ///
    /// # Errors
    /// The system's certificates or the TLS library cannot be used.
    pub fn new() -> Result<Self, OtlpHttpError> {
        let client = Client::builder().redirect(Policy::none()).no_proxy().timeout(TIMEOUT);
        client.build().map(Self).map_err(OtlpHttpError)
    }

    /// Posts a body. Returns the status and the body of the response, of any status.
    ///
    /// # Errors
    /// There is no complete response within five seconds.
    pub async fn post(
        &self,
        url: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), OtlpHttpError> {
        let request = self.0.post(url).header(CONTENT_TYPE, content_type).body(body);
        let response = request.send().await.map_err(OtlpHttpError)?;
        let status = response.status().as_u16();
        Ok((status, response.bytes().await.map_err(OtlpHttpError)?.to_vec()))
    }
}
