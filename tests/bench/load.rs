//! The load: browsers that log in as fast as possible, and clients that request their session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::process::Broker;

/// The duration of each request or login, in ascending order.
pub struct Figures(Vec<Duration>);

impl Figures {
    /// The duration within which this share of the requests completed; `share` is from 0 to 1.
    pub fn at(&self, share: f64) -> Duration {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the value is an index into the list"
        )]
        let index = ((self.0.len() - 1) as f64 * share) as usize;
        self.0[index]
    }
}

/// The result of a login.
pub struct Session {
    /// The access token.
    pub access: String,
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

/// Performs `count` logins with `at_once` concurrent workers.
pub async fn logins(broker: &Broker, count: usize, at_once: usize, slot: &'static str) -> Figures {
    let left = Arc::new(AtomicUsize::new(count));
    let client = client();
    let start = broker.url(&format!("/auth/{slot}/login?return_to=/"));
    let workers = (0..at_once).map(|_| {
        let (left, client, start) = (Arc::clone(&left), client.clone(), start.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                let began = Instant::now();
                log_in_once(&client, &start).await;
                times.push(began.elapsed());
            }
            times
        })
    });
    collect(workers.collect()).await
}

async fn collect(workers: Vec<tokio::task::JoinHandle<Vec<Duration>>>) -> Figures {
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await.unwrap());
    }
    times.sort();
    Figures(times)
}

/// One complete login: start, authorization, callback, token.
async fn log_in_once(client: &reqwest::Client, start: &str) -> Session {
    let started = client.get(start).send().await.unwrap();
    assert_eq!(started.status(), 303);
    let login = cookie(&started, "portico_login_").expect("a login cookie");
    let authorized = client.get(location(&started)).send().await.unwrap();
    assert_eq!(authorized.status(), 303, "the provider signs in without a form");
    let completed = client.get(location(&authorized)).header("cookie", login).send().await.unwrap();
    assert_eq!(completed.status(), 303, "{:?}", completed.text().await);
    let access = cookie(&completed, "portico_access=").expect("an access token");
    Session { access: access.split_once('=').unwrap().1.to_owned() }
}

/// One login that is not measured.
pub async fn log_in(broker: &Broker, slot: &str) -> Session {
    log_in_once(&client(), &broker.url(&format!("/auth/{slot}/login?return_to=/"))).await
}

fn location(response: &reqwest::Response) -> String {
    response.headers()["location"].to_str().unwrap().to_owned()
}

fn cookie(response: &reqwest::Response, prefix: &str) -> Option<String> {
    let cookies = response.headers().get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.filter_map(|cookie| cookie.split(';').next());
    pairs.filter(|cookie| cookie.starts_with(prefix)).find(|cookie| !cookie.ends_with('=')).map(str::to_owned)
}

/// Requests a URL with a bearer token, with `at_once` concurrent workers, for `length`.
///
/// Returns the number of requests, their durations and the elapsed time.
pub async fn requests(
    url: &str,
    token: &str,
    at_once: usize,
    length: Duration,
) -> (usize, Figures, Duration) {
    let client = client();
    let began = Instant::now();
    let workers = (0..at_once).map(|_| {
        let (client, url, token) = (client.clone(), url.to_owned(), token.to_owned());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < length {
                let sent = Instant::now();
                let response = client.get(&url).bearer_auth(&token).send().await.unwrap();
                assert_eq!(response.status(), 200);
                response.bytes().await.unwrap();
                times.push(sent.elapsed());
            }
            times
        })
    });
    let figures = collect(workers.collect()).await;
    (figures.0.len(), figures, began.elapsed())
}
