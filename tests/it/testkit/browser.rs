//! A person's browser, one hop at a time.

use std::net::SocketAddr;

use portico_core::clock::Clock;
use reqwest::{Method, header};
use serde_json::Value;
use url::Url;

use super::{Answer, Jar, SetCookie};

const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// A request about to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    url: Url,
    headers: Vec<(String, String)>,
    cookies: Option<String>,
    body: String,
}

impl Request {
    pub fn new(method: &str, url: Url) -> Self {
        let method = method.parse().unwrap();
        Self { method, url, headers: Vec::new(), cookies: None, body: String::new() }
    }

    /// What a browser sends when a person follows a link.
    pub fn navigation(url: Url) -> Self {
        Self::new("GET", url)
            .header("accept", HTML)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
    }

    /// What a script of our own page sends.
    pub fn script(method: &str, url: Url) -> Self {
        Self::new(method, url)
            .header("accept", "application/json")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-site", "same-origin")
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without the headers of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(own, _)| own != name);
        self
    }

    /// Sends this `Cookie` header in place of the jar's.
    #[must_use]
    pub fn cookies(mut self, header: &str) -> Self {
        self.cookies = Some(header.to_owned());
        self
    }

    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string();
        self.header("content-type", "application/json")
    }

    #[must_use]
    pub fn body(mut self, kind: &str, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self.header("content-type", kind)
    }
}

/// A browser: it keeps cookies, follows no redirect by itself and remembers where it was.
#[derive(Debug, Clone)]
pub struct Browser {
    http: reqwest::Client,
    public: Url,
    at: SocketAddr,
    clock: Clock,
    pub jar: Jar,
    /// Every address asked and every address it was sent on to.
    pub trail: Vec<Url>,
    /// Every cookie that was set.
    pub cookies_seen: Vec<SetCookie>,
    /// Every answer of the application.
    pub answers: Vec<Answer>,
}

impl Browser {
    pub fn new(http: reqwest::Client, public: Url, at: SocketAddr, clock: Clock) -> Self {
        Self {
            http,
            public,
            at,
            clock,
            jar: Jar::default(),
            trail: Vec::new(),
            cookies_seen: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// The same person's browser, its cookies and all, talking to another replica.
    #[must_use]
    pub fn at(mut self, replica: SocketAddr) -> Self {
        self.at = replica;
        self
    }

    /// One of Portico's addresses; `path` stands below the public URL.
    pub fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.public.as_str().trim_end_matches('/'))).unwrap()
    }

    /// Sends a request and keeps what came back. Only requests for the public origin go to the application's listener.
    pub async fn send(&mut self, request: Request) -> Answer {
        let url = request.url.clone();
        self.try_send(request).await.unwrap_or_else(|error| panic!("{url}: {error:?}"))
    }

    /// The same, where the connection may break.
    pub async fn try_send(&mut self, request: Request) -> Result<Answer, reqwest::Error> {
        let now = self.clock.now().unix();
        let mut address = request.url.clone();
        let mut ask = reqwest::Request::new(request.method, address.clone());
        if request.url.origin() == self.public.origin() {
            address.set_scheme("http").unwrap();
            address.set_ip_host(self.at.ip()).unwrap();
            address.set_port(Some(self.at.port())).unwrap();
            *ask.url_mut() = address;
            let host = self.public.origin().ascii_serialization().split_once("://").unwrap().1.to_owned();
            ask.headers_mut().insert(header::HOST, host.parse().unwrap());
        }
        for (name, value) in &request.headers {
            let name: header::HeaderName = name.parse().unwrap();
            ask.headers_mut().append(name, value.parse().unwrap());
        }
        let kept = self.jar.for_url(&request.url, now);
        let kept: Vec<_> = kept.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        let cookies = request.cookies.unwrap_or_else(|| kept.join("; "));
        if !cookies.is_empty() {
            ask.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
        }
        if !request.body.is_empty() {
            *ask.body_mut() = Some(request.body.into());
        }
        let reply = self.http.execute(ask).await?;
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let body = String::from_utf8_lossy(&reply.bytes().await?).into_owned();
        let answer = Answer { url: request.url, status, headers, body };
        self.remember(&answer, now);
        Ok(answer)
    }

    fn remember(&mut self, answer: &Answer, now: i64) {
        self.trail.push(answer.url.clone());
        if let Some(location) = answer.header("location") {
            self.trail.push(answer.url.join(location).unwrap());
        }
        for set in answer.set_cookies() {
            self.jar.store(&answer.url, &set, now);
            self.cookies_seen.push(set);
        }
        if answer.url.origin() == self.public.origin() {
            self.answers.push(answer.clone());
        }
    }

    /// Follows a link.
    pub async fn visit(&mut self, url: &Url) -> Answer {
        self.send(Request::navigation(url.clone())).await
    }

    /// A script of the page asks.
    pub async fn fetch(&mut self, path: &str) -> Answer {
        self.send(Request::script("GET", self.url(path))).await
    }

    /// A script of the page posts, with the proof that it is one.
    pub async fn post(&mut self, path: &str) -> Answer {
        self.send(self.proven("POST", path)).await
    }

    /// Such a request, for a test to bend.
    pub fn proven(&self, method: &str, path: &str) -> Request {
        let csrf = self.jar.find("portico_csrf").map(|cookie| cookie.value.clone()).unwrap_or_default();
        Request::script(method, self.url(path))
            .header("origin", &self.public.origin().ascii_serialization())
            .header("x-csrf-token", &csrf)
    }

    /// Presses a login button. The answer is the provider's address.
    pub async fn start(&mut self, slot: &str) -> Url {
        self.start_for(slot, "/").await
    }

    /// Presses a login button that leads back to `return_to`.
    pub async fn start_for(&mut self, slot: &str, return_to: &str) -> Url {
        let mut url = self.url(&format!("/auth/{slot}/login"));
        url.query_pairs_mut().append_pair("return_to", return_to);
        self.visit(&url).await.location()
    }

    /// Chooses a person on the provider's page. The answer is where the provider sends the browser.
    pub async fn choose(&mut self, authorization: &Url, person: &str) -> Url {
        let arrived = self.visit(authorization).await;
        if arrived.status == 303 {
            return arrived.location();
        }
        arrived.is(200);
        let mut page = authorization.clone();
        page.set_query(None);
        let pairs = authorization.query_pairs().chain([("person".into(), person.into())]);
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let request = Request::new("POST", page).body("application/x-www-form-urlencoded", &form);
        self.send(request).await.location()
    }

    /// Everything of a login but its last hop.
    pub async fn reach_callback(&mut self, slot: &str, person: &str) -> Url {
        let authorization = self.start(slot).await;
        self.choose(&authorization, person).await
    }

    /// The last hop: the provider's redirect.
    pub async fn callback(&mut self, url: &Url) -> Answer {
        self.visit(url).await
    }

    /// The last hop, relayed by a script that owns the callback route.
    pub async fn relay(&mut self, url: &Url) -> Answer {
        self.send(Request::script("GET", url.clone())).await
    }

    /// A whole login, however it ends.
    pub async fn try_to_log_in(&mut self, slot: &str, person: &str) -> Answer {
        let callback = self.reach_callback(slot, person).await;
        self.callback(&callback).await
    }

    /// A whole login that succeeds. The answer is who one is now.
    pub async fn log_in(&mut self, slot: &str, person: &str) -> Value {
        let answer = self.try_to_log_in(slot, person).await;
        let home = self.public.join("/").unwrap();
        answer.is(303).leads_to(home.as_str());
        assert!(answer.gives_session(), "{answer:?}");
        self.who().await
    }

    /// The session, which there must be.
    pub async fn who(&mut self) -> Value {
        self.fetch("/auth/session").await.is(200).json()
    }

    /// Whether anybody is signed in.
    pub async fn is_signed_in(&mut self) -> bool {
        let answer = self.fetch("/auth/session").await;
        if answer.status != 200 {
            answer.refused(401, "session_invalid");
        }
        answer.status == 200
    }
}
