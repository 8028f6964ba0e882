//! Trace spans, as an OTLP collector receives them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use portico_demo_idp::{DemoIdp, IdpConfig};
use prost::Message as _;

use crate::testkit::{Program, Request, slot_variables};

/// The request line and the body of a request.
type Posted = (String, Vec<u8>);

/// A collector that stores the requests that it receives.
struct Collector {
    port: u16,
    bodies: Arc<Mutex<Vec<Posted>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let stored = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().take(1000).flatten() {
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
                let whole = loop {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break None,
                        Ok(size) => read.extend_from_slice(&buffer[..size]),
                    }
                    let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else {
                        continue;
                    };
                    let head = String::from_utf8_lossy(&read[..end]).into_owned();
                    let length = head.lines().find_map(|line| {
                        line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
                    });
                    if read.len() >= end + 4 + length.unwrap_or_default() {
                        break Some((head.lines().next().unwrap().to_owned(), read[end + 4..].to_vec()));
                    }
                };
                stored.lock().unwrap().extend(whole);
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Self { port, bodies }
    }

    fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().unwrap();
        let requests = bodies.iter().map(|(line, body)| {
            assert_eq!(line, "POST /v1/traces HTTP/1.1");
            ExportTraceServiceRequest::decode(&body[..]).unwrap()
        });
        requests
            .flat_map(|request| request.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }
}

fn text(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

async fn program(endpoint: &str) -> (crate::testkit::Service, DemoIdp) {
    let program = Program::configured().set("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    let idp = DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
    (program.set_all(slot_variables(&idp, &["oidc/provider1".to_owned()])).serve().await, idp)
}

#[tokio::test]
async fn a_login_is_one_trace_with_the_calls_inside_and_nothing_secret() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let collector = Collector::start();
    let (service, idp) = program(&format!("http://127.0.0.1:{}", collector.port)).await;
    let mut browser = service.browser();
    let callback = browser.reach_callback("oidc/provider1", "ada-1").await;
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let answer = browser.send(Request::navigation(callback.clone()).header("traceparent", &parent)).await;
    answer.is(303);
    let (code, _) = service.terminate();
    assert_eq!(code, 0);
    let spans = collector.spans();
    let root = spans
        .iter()
        .find(|span| text(span, "route").is_some_and(|route| route.ends_with("/callback")))
        .unwrap_or_else(|| panic!("{spans:?}"));
    assert_eq!(hex::encode(&root.trace_id), TRACE, "the span continues the trace of the proxy");
    assert_eq!(hex::encode(&root.parent_span_id), "b7ad6b7169203331");
    assert_eq!(text(root, "http.response.status_code").as_deref(), Some("303"));
    let inside: Vec<_> = spans.iter().filter(|span| span.trace_id == root.trace_id).collect();
    let token = inside
        .iter()
        .find(|span| text(span, "endpoint").as_deref() == Some("token"))
        .expect("the code exchange must have a span");
    assert_eq!(text(token, "slot").as_deref(), Some("oidc/provider1"));
    assert!(inside.iter().any(|span| text(span, "operation").as_deref() == Some("settle")), "{inside:?}");
    // Portico does not send its trace context to providers.
    let asked = idp.oidc("provider1").unwrap().last_request(portico_demo_idp::Endpoint::Token).unwrap();
    assert_eq!(asked.header("traceparent"), None);
    let told = format!("{spans:?}");
    for name in ["code", "state"] {
        let value = callback.query_pairs().find(|(own, _)| own == name).unwrap().1;
        assert!(value.len() > 8 && !told.contains(&*value), "a span contains {name}");
    }
    for secret in ["ada-1", "Ada Example", browser.jar.value("portico_access")] {
        assert!(!told.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (service, _idp) = program(&format!("http://{}", silent.local_addr().unwrap())).await;
    let started = Instant::now();
    for _ in 0..10 {
        service.browser().log_in("oidc/provider1", "ada-1").await;
    }
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    let ending = Instant::now();
    assert_eq!(service.terminate().0, 0);
    assert!(ending.elapsed() < Duration::from_secs(6), "{:?}", ending.elapsed());
}
