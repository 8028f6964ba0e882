//! A browser that sends one request at a time.

use std::net::SocketAddr;

use portico_core::clock::Clock;
use reqwest::{Method, header};
use serde_json::Value;
use url::Url;

use super::{Answer, Jar, SetCookie};

const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// A request that has not been sent yet.
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

    /// A navigation, as a browser sends it for a followed link.
    pub fn navigation(url: Url) -> Self {
        Self::new("GET", url)
            .header("accept", HTML)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
    }

    /// A request as a script of Portico's own page sends it.
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

    /// Removes all headers with this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(own, _)| own != name);
        self
    }

    /// Sends this `Cookie` header instead of the cookies of the jar.
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

/// A browser that stores cookies, does not follow redirects, and records all requests and answers.
#[derive(Debug, Clone)]
pub struct Browser {
    http: reqwest::Client,
    public: Url,
    at: SocketAddr,
    clock: Clock,
    pub jar: Jar,
    /// The URL of every request and of every redirect.
    pub trail: Vec<Url>,
    /// Every cookie that an answer set.
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

    /// The same browser with its cookies, connected to another replica.
    #[must_use]
    pub fn at(mut self, replica: SocketAddr) -> Self {
        self.at = replica;
        self
    }

    /// A URL of Portico; `path` is appended to the public URL.
    pub fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.public.as_str().trim_end_matches('/'))).unwrap()
    }

    /// Sends a request and records the answer.
    ///
    /// Only requests for the public origin go to the application's listener.
    pub async fn send(&mut self, request: Request) -> Answer {
        let url = request.url.clone();
        self.try_send(request).await.unwrap_or_else(|error| panic!("{url}: {error:?}"))
    }

    /// Like [`Self::send`], but returns an error if the connection fails.
    pub async fn try_send(&mut self, request: Request) -> Result<Answer, reqwest::Error> {
        let now = self.clock.now().unix();
        let mut address = request.url.clone();
        let mut outgoing = reqwest::Request::new(request.method, address.clone());
        if request.url.origin() == self.public.origin() {
            address.set_scheme("http").unwrap();
            address.set_ip_host(self.at.ip()).unwrap();
            address.set_port(Some(self.at.port())).unwrap();
            *outgoing.url_mut() = address;
            let host = self.public.origin().ascii_serialization().split_once("://").unwrap().1.to_owned();
            outgoing.headers_mut().insert(header::HOST, host.parse().unwrap());
        }
        for (name, value) in &request.headers {
            let name: header::HeaderName = name.parse().unwrap();
            outgoing.headers_mut().append(name, value.parse().unwrap());
        }
        let stored = self.jar.for_url(&request.url, now);
        let stored: Vec<_> =
            stored.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        let cookies = request.cookies.unwrap_or_else(|| stored.join("; "));
        if !cookies.is_empty() {
            outgoing.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
        }
        if !request.body.is_empty() {
            *outgoing.body_mut() = Some(request.body.into());
        }
        let reply = self.http.execute(outgoing).await?;
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

    /// Sends a GET request as a script of the page.
    pub async fn fetch(&mut self, path: &str) -> Answer {
        self.send(Request::script("GET", self.url(path))).await
    }

    /// Sends a POST request as a script of the page, with `Origin` and the CSRF value.
    pub async fn post(&mut self, path: &str) -> Answer {
        self.send(self.proven("POST", path)).await
    }

    /// A request with `Origin` and the CSRF value, which a test can still change.
    pub fn proven(&self, method: &str, path: &str) -> Request {
        let csrf = self.jar.find("portico_csrf").map(|cookie| cookie.value.clone()).unwrap_or_default();
        Request::script(method, self.url(path))
            .header("origin", &self.public.origin().ascii_serialization())
            .header("x-csrf-token", &csrf)
    }

    /// Starts a login. Returns the authorization URL.
    pub async fn start(&mut self, slot: &str) -> Url {
        self.start_for(slot, "/").await
    }

    /// Starts a login with this `return_to`. Returns the authorization URL.
    pub async fn start_for(&mut self, slot: &str, return_to: &str) -> Url {
        let mut url = self.url(&format!("/auth/{slot}/login"));
        url.query_pairs_mut().append_pair("return_to", return_to);
        self.visit(&url).await.location()
    }

    /// Chooses a person on the provider's page. Returns the URL to which the provider redirects.
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

    /// Performs a login up to the provider's redirect. Returns the callback URL without requesting it.
    pub async fn reach_callback(&mut self, slot: &str, person: &str) -> Url {
        let authorization = self.start(slot).await;
        self.choose(&authorization, person).await
    }

    /// Requests the callback URL as a navigation.
    pub async fn callback(&mut self, url: &Url) -> Answer {
        self.visit(url).await
    }

    /// Requests the callback URL as a script does when the frontend owns the callback route.
    pub async fn relay(&mut self, url: &Url) -> Answer {
        self.send(Request::script("GET", url.clone())).await
    }

    /// Performs a whole login, which may succeed or fail.
    pub async fn try_to_log_in(&mut self, slot: &str, person: &str) -> Answer {
        let callback = self.reach_callback(slot, person).await;
        self.callback(&callback).await
    }

    /// Performs a whole login that must succeed. Returns the new session.
    pub async fn log_in(&mut self, slot: &str, person: &str) -> Value {
        let answer = self.try_to_log_in(slot, person).await;
        let home = self.public.join("/").unwrap();
        answer.is(303).leads_to(home.as_str());
        assert!(answer.gives_session(), "{answer:?}");
        self.who().await
    }

    /// The current session; panics if there is none.
    pub async fn who(&mut self) -> Value {
        self.fetch("/auth/session").await.is(200).json()
    }

    /// Whether the browser has a valid session.
    pub async fn is_signed_in(&mut self) -> bool {
        let answer = self.fetch("/auth/session").await;
        if answer.status != 200 {
            answer.refused(401, "session_invalid");
        }
        answer.status == 200
    }
}
