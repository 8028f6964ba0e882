//! The load: browsers that log in as fast as they can, and clients that ask for their session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::process::Broker;

/// How long each request or login took.
pub struct Figures(Vec<Duration>);

impl Figures {
    /// The duration within which this share was done.
    pub fn at(&self, share: f64) -> Duration {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into the list")]
        let index = ((self.0.len() - 1) as f64 * share) as usize;
        self.0[index]
    }
}

/// What a login gave.
pub struct Session {
    pub access: String,
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

/// Logs in `count` times, `at_once` at a time.
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
                one(&client, &start).await;
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

/// One complete login: start, provider, callback, token.
async fn one(client: &reqwest::Client, start: &str) -> Session {
    let begun = client.get(start).send().await.unwrap();
    assert_eq!(begun.status(), 303);
    let login = cookie(&begun, "portico_login_").expect("a login cookie");
    let chosen = client.get(location(&begun)).send().await.unwrap();
    assert_eq!(chosen.status(), 303, "the provider logs in by itself");
    let done = client.get(location(&chosen)).header("cookie", login).send().await.unwrap();
    assert_eq!(done.status(), 303, "{:?}", done.text().await);
    let access = cookie(&done, "portico_access=").expect("an access token");
    Session { access: access.split_once('=').unwrap().1.to_owned() }
}

/// One login outside any measurement.
pub async fn log_in(broker: &Broker, slot: &str) -> Session {
    one(&client(), &broker.url(&format!("/auth/{slot}/login?return_to=/"))).await
}

fn location(response: &reqwest::Response) -> String {
    response.headers()["location"].to_str().unwrap().to_owned()
}

fn cookie(response: &reqwest::Response, prefix: &str) -> Option<String> {
    let cookies = response.headers().get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let own = cookies.filter_map(|cookie| cookie.split(';').next());
    own.filter(|cookie| cookie.starts_with(prefix)).find(|cookie| !cookie.ends_with('=')).map(str::to_owned)
}

/// Asks one address with a bearer token, `at_once` at a time, for a while.
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
                let answer = client.get(&url).bearer_auth(&token).send().await.unwrap();
                assert_eq!(answer.status(), 200);
                answer.bytes().await.unwrap();
                times.push(sent.elapsed());
            }
            times
        })
    });
    let figures = collect(workers.collect()).await;
    (figures.0.len(), figures, began.elapsed())
}
