//! The client against real sockets.
#![expect(clippy::disallowed_methods, reason = "tests measure durations")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use portico_core::error::Code;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn outbound() -> Outbound {
    Outbound::new(&Transport::default(), Handle::current()).unwrap()
}

/// Starts a server that reads a request on each connection and then calls `respond`. Returns its URL and the
/// count of connections.
async fn server<F>(respond: impl Fn(TcpStream) -> F + Send + 'static) -> (Url, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/here", listener.local_addr().unwrap())).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = socket.read(&mut [0; 4096]).await;
            tokio::spawn(respond(socket));
        }
    });
    (url, calls)
}

/// Starts a server that answers each request with these bytes and closes the connection.
async fn answering(answer: String) -> (Url, Arc<AtomicUsize>) {
    server(move |mut socket| {
        let answer = answer.clone();
        async move {
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// The code and the message of the error when this document is fetched.
async fn refused(url: &Url) -> (Code, String) {
    let error = outbound().document(Endpoint::Discovery, url).await.unwrap_err();
    (error.code(), error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_fetched() {
    let (url, calls) = answering(http("200 OK", r#"{"a":1}"#)).await;
    let read = outbound().document(Endpoint::Discovery, &url).await.unwrap();
    assert_eq!((read["a"].as_i64(), calls.load(Ordering::SeqCst)), (Some(1), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn h06_a_redirect_is_not_followed() {
    let (canary, called) = answering(http("200 OK", r#"{"a":1}"#)).await;
    for status in [301, 302, 303, 307, 308] {
        let answer = format!(
            "HTTP/1.1 {status} Elsewhere\r\nLocation: {canary}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        let (url, _) = answering(answer).await;
        let (code, told) = refused(&url).await;
        assert_eq!(code, Code::IdpBadResponse);
        assert!(told.contains(&status.to_string()), "{told}");
    }
    assert_eq!(called.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn h08_no_more_is_read_than_the_endpoint_may_say() {
    for (endpoint, largest) in [
        (Endpoint::Discovery, 256 * 1024),
        (Endpoint::KeySet, 512 * 1024),
        (Endpoint::Token, 512 * 1024),
        (Endpoint::Userinfo, 1024 * 1024),
    ] {
        let filled = |size: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8));
        let (fits, _) = answering(http("200 OK", &filled(largest))).await;
        assert!(outbound().document(endpoint, &fits).await.is_ok(), "{endpoint:?}");
        let (too_large, _) = answering(http("200 OK", &filled(largest + 1))).await;
        let error = outbound().document(endpoint, &too_large).await.unwrap_err();
        assert!(error.to_string().contains("larger than"), "{error}");
    }
    // A body without length that does not end.
    let (endless, _) = server(|mut socket| async move {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while socket.write_all(&[b' '; 16 * 1024]).await.is_ok() {}
    })
    .await;
    let (code, told) = refused(&endless).await;
    assert!(code == Code::IdpBadResponse && told.contains("larger than"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h08_the_deadline_is_over_the_whole_exchange() {
    let (silent, _) = server(|socket| async move {
        tokio::time::sleep(Duration::from_secs(30)).await;
        drop(socket);
    })
    .await;
    // Each byte arrives in time, but the body is never complete.
    let (dripping, _) = server(|mut socket| async move {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await;
        while socket.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    let started = Instant::now();
    let (first, second) = tokio::join!(refused(&silent), refused(&dripping));
    assert_eq!((first.0, second.0), (Code::IdpTimeout, Code::IdpTimeout));
    assert!(started.elapsed() < Duration::from_secs(11), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_an_answer_is_named() {
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap()
    };
    assert_eq!(refused(&gone).await.0, Code::IdpUnreachable);
    for answer in [
        http("200 OK", "<html>"),
        http("200 OK", ""),
        http("200 OK", r#"{"a":1,"a":2}"#),
        http("201 Created", "{}"),
        http("404 Not Found", "{}"),
        http("500 Oops", "{}"),
        "no HTTP at all\r\n\r\n".to_owned(),
        String::new(),
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{".to_owned(),
    ] {
        let (mut url, _) = answering(answer.clone()).await;
        let address = url.to_string();
        url.set_query(Some("hush"));
        let (code, told) = refused(&url).await;
        assert_eq!(code, Code::IdpBadResponse, "{answer:?}: {told}");
        assert!(told.starts_with("discovery document: ") && !told.contains("hush"), "{told}");
        // The error has the URL if a complete response arrived.
        let answered = answer.starts_with("HTTP") && !answer.ends_with("\n{");
        assert_eq!(told.contains(&address), answered, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h26_plain_http_is_for_loopback_hosts_or_on_demand() {
    let strict = outbound();
    let lax = Transport { allow_insecure_http: true, extra_roots: None };
    let lax = Outbound::new(&lax, Handle::current()).unwrap();
    for (url, by_default, on_demand) in [
        ("https://idp.example/x", true, true),
        ("http://127.0.0.1:8080/", true, true),
        ("http://127.1.2.3/", true, true),
        ("http://[::1]:8080/", true, true),
        ("http://localhost:8080/", true, true),
        ("http://idp.example/", false, true),
        ("http://localhost.example/", false, true),
        ("http://127.0.0.1.example/", false, true),
        ("http://169.254.169.254/latest", false, true),
        ("http://0.0.0.0/", false, true),
        ("http://10.0.0.1/", false, true),
        ("https://user@idp.example/", false, false),
        ("https://:password@idp.example/", false, false),
        ("javascript:alert(1)", false, false),
        ("file:///etc/passwd", false, false),
        ("ftp://idp.example/", false, false),
    ] {
        let url = Url::parse(url).unwrap();
        assert_eq!((strict.allows(&url), lax.allows(&url)), (by_default, on_demand), "{url}");
        if !by_default {
            let error = strict.document(Endpoint::KeySet, &url).await.unwrap_err();
            assert_eq!(error.code(), Code::IdpMetadataInvalid, "refused before anything is sent");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_certificates_must_be_some() {
    let with = |pem: &str| {
        let transport = Transport { extra_roots: Some(pem.as_bytes().into()), allow_insecure_http: false };
        Outbound::new(&transport, Handle::current()).map(|_| ()).map_err(|error| error.to_string())
    };
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        assert!(with(pem).is_err(), "{pem:?}");
    }
}

/// The client must not do what the library could do by default: follow redirects, decompress, send a
/// referrer, or use a proxy of the environment.
#[tokio::test(flavor = "multi_thread")]
async fn m34_the_client_does_nothing_that_nobody_asked_for() {
    let (asked, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/here", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = socket.read(&mut request).await.unwrap();
            asked.send(String::from_utf8_lossy(&request[..read]).to_lowercase()).unwrap();
            // The client takes the bytes as they are, whatever `Content-Encoding` says.
            let answer = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\
                Connection: close\r\n\r\n{\"a\":1}";
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let read = outbound().document(Endpoint::Discovery, &url).await.unwrap();
    assert_eq!(read["a"].as_i64(), Some(1));
    let request = requests.recv().await.unwrap();
    for unasked in ["accept-encoding", "referer", "cookie", "proxy-", "authorization", "if-none-match"] {
        assert!(!request.contains(unasked), "{request}");
    }
    assert!(request.contains("user-agent: portico/"), "{request}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h08_m12_a_provider_that_fails_gets_a_rest_and_an_answer_that_refuses_is_no_failure() {
    // A response below 500 is not a failure.
    for alive in ["400 Bad Request", "404 Not Found", "302 Found", "429 Too Many Requests"] {
        let (url, calls) = answering(http(alive, "")).await;
        let client = outbound();
        for _ in 0..7 {
            assert!(client.document(Endpoint::Discovery, &url).await.is_err());
        }
        assert_eq!((calls.load(Ordering::SeqCst), client.health()), (7, Health::Ok), "{alive}");
    }
    let (failing, calls) = answering(http("503 Service Unavailable", "")).await;
    let client = outbound();
    for number in 1..=8 {
        let error = client.document(Endpoint::Discovery, &failing).await.unwrap_err();
        let code = if number <= 5 { Code::IdpBadResponse } else { Code::IdpUnreachable };
        assert_eq!(error.code(), code, "{number}");
    }
    assert_eq!((calls.load(Ordering::SeqCst), client.health()), (5, Health::Down));
    // Another slot has a breaker of its own.
    assert_eq!(
        outbound().document(Endpoint::Discovery, &failing).await.unwrap_err().code(),
        Code::IdpBadResponse
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h08_m12_what_one_person_sends_gives_no_rest_to_everybodys_provider() {
    let (failing, calls) = answering(http("503 Service Unavailable", "")).await;
    let (alive, _) = answering(http("200 OK", "{}")).await;
    for endpoint in [Endpoint::Token, Endpoint::Userinfo, Endpoint::Emails, Endpoint::Groups] {
        let client = outbound();
        let before = calls.load(Ordering::SeqCst);
        for _ in 0..8 {
            let error = client.document(endpoint, &failing).await.unwrap_err();
            assert_eq!(error.code(), Code::IdpBadResponse, "{endpoint:?}");
        }
        assert_eq!((calls.load(Ordering::SeqCst) - before, client.health()), (8, Health::Degraded));
        client.document(endpoint, &alive).await.unwrap();
        assert_eq!(client.health(), Health::Ok);
    }
    // A refused connection is a failure.
    let gone = Url::parse("http://127.0.0.1:1/").unwrap();
    let client = outbound();
    for _ in 0..5 {
        client.document(Endpoint::Token, &gone).await.unwrap_err();
    }
    assert_eq!(client.health(), Health::Down);
}

#[tokio::test(flavor = "multi_thread")]
async fn h08_so_many_wait_and_no_more() {
    let (silent, _) = server(|socket| async move {
        tokio::time::sleep(Duration::from_mins(1)).await;
        drop(socket);
    })
    .await;
    let client = outbound();
    let mut calls = JoinSet::new();
    for _ in 0..MAX_RUNNING + MAX_WAITING {
        let (client, silent) = (client.clone(), silent.clone());
        calls.spawn(async move { client.document(Endpoint::Discovery, &silent).await });
    }
    while client.gate.admitted.available_permits() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let started = Instant::now();
    let error = client.document(Endpoint::Discovery, &silent).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(started.elapsed() < Duration::from_secs(1));
}
