//! H09, L07, L08, M25, M32: marked secrets, the log at its most verbose level, and a search for the marks.
//!
//! The process logs at `trace`, its dependencies included. The tests search the log, every response, the
//! output of every command, and a dump of all tables.

mod audit;
mod leaks;
mod lies;
mod log;
mod posted;
mod settings;
mod story;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use portico_demo_idp::{Endpoint, Realm};

use crate::testkit::{Answer, Browser};

/// Who may see a marked value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// Portico and the provider; not in a browser, a log or a table.
    Provider,
    /// The browser that received it, in successful responses.
    Browser,
    /// Tables and responses about the person; never the log or a refusal.
    Person,
}

/// The marked values, each with its name and who may see it.
#[derive(Debug, Default)]
struct Canaries(BTreeMap<String, (String, Reach)>);

impl Canaries {
    fn add(&mut self, reach: Reach, name: &str, value: &str) {
        assert!(value.len() >= 8, "{name} is too short for the search: {value}");
        self.0.entry(value.to_owned()).or_insert_with(|| (name.to_owned(), reach));
        let parts: Vec<_> = value.split('.').collect();
        // The header of a JWT is the same for all tokens, so it is not marked.
        if let [_, payload, signature] = parts[..]
            && payload.len() > 40
            && signature.len() > 40
        {
            for (part, value) in [("payload", payload), ("signature", signature)] {
                self.0.entry(value.to_owned()).or_insert_with(|| (format!("{part} of {name}"), reach));
            }
        }
    }

    /// Marks the values that a browser received, and those in its URLs.
    fn of_browser(&mut self, browser: &Browser) {
        for answer in &browser.answers {
            for (name, value) in answer.url.query_pairs() {
                match &*name {
                    "code" => self.add_long(Reach::Provider, "code", &value),
                    "state" => self.add_long(Reach::Browser, "state", &value),
                    _ => {}
                }
            }
            if let Some(Ok(location)) = answer.header("location").map(|location| answer.url.join(location)) {
                for (name, value) in location.query_pairs() {
                    match &*name {
                        "state" | "nonce" => self.add_long(Reach::Browser, &name, &value),
                        "code" => self.add_long(Reach::Browser, "hand-off code", &value),
                        _ => {}
                    }
                }
            }
            for set in answer.set_cookies().iter().filter(|set| !set.removes()) {
                self.add(Reach::Browser, &format!("cookie {}", set.name), &set.value);
            }
            let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
            for member in ["access_token", "refresh_token"] {
                if let Some(token) = body[member].as_str() {
                    self.add(Reach::Browser, member, token);
                }
            }
        }
    }

    /// Marks the values that Portico and a provider exchanged in the last login.
    fn of_realm(&mut self, realm: &Realm) {
        if let Some(issued) = realm.last_issued() {
            self.add(Reach::Provider, "the provider's access token", &issued.access_token);
            if let Some(token) = issued.id_token {
                self.add(Reach::Provider, "the provider's ID token", &token);
            }
        }
        if let Some(request) = realm.last_request(Endpoint::Token) {
            for (name, value) in request.form() {
                if ["code_verifier", "client_secret", "code"].contains(&name.as_str()) {
                    self.add_long(Reach::Provider, &name, &value);
                }
            }
            if let Some(proof) = request.header("authorization") {
                self.add(Reach::Provider, "client authentication", proof.trim_start_matches("Basic "));
            }
        }
    }

    /// Marks a value, unless it is as short as a made-up one such as `state=x`.
    fn add_long(&mut self, reach: Reach, name: &str, value: &str) {
        if value.len() >= 16 {
            self.add(reach, name, value);
        }
    }

    /// The marked values of these reaches that a text has, in any of the [`forms`].
    fn found_in(&self, text: &str, reaches: &[Reach]) -> Vec<String> {
        let lower = text.to_ascii_lowercase();
        let mut found = Vec::new();
        for (value, (name, _)) in self.0.iter().filter(|(_, (_, reach))| reaches.contains(reach)) {
            let hit = forms(value).into_iter().find_map(|(form, needle)| {
                let text = if form == "hex" { &lower } else { text };
                text.find(&needle).map(|at| (form, around(text, at)))
            });
            if let Some((form, context)) = hit {
                found.push(format!("{name} as {form}: {value}\n    in …{context}…"));
            }
        }
        found
    }

    #[track_caller]
    fn are_not_in(&self, source: &str, text: &str, reaches: &[Reach]) {
        let found = self.found_in(text, reaches);
        assert!(found.is_empty(), "{source} has\n{}", found.join("\n"));
    }

    /// A refusal has no marked value; a successful response may have values of its own browser.
    #[track_caller]
    fn are_not_in_answers(&self, answers: &[Answer]) {
        use Reach::{Browser, Person, Provider};
        for answer in answers {
            let reaches: &[Reach] =
                if answer.status < 400 { &[Provider] } else { &[Provider, Browser, Person] };
            // These two headers repeat a value of the request.
            let repeats_request = |name: &str| ["x-csrf-token", "x-request-id"].contains(&name);
            let headers = answer.headers.iter().filter(|(name, _)| !repeats_request(name.as_str()));
            let headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
            let text = format!("{}\n{}", headers.join("\n"), without_logout_url(answer));
            self.are_not_in(&format!("the {} of {}", answer.status, answer.url.path()), &text, reaches);
        }
    }

    /// Tables have hashes, sealed values and the attributes of accounts.
    #[track_caller]
    fn are_not_in_tables(&self, dump: &str) {
        self.are_not_in("a table", dump, &[Reach::Provider, Reach::Browser]);
    }

    #[track_caller]
    fn are_not_in_log(&self, log: &str) {
        self.are_not_in("the log", log, &[Reach::Provider, Reach::Browser, Reach::Person]);
    }

    fn count(&self, reach: Reach) -> usize {
        self.0.values().filter(|(_, of)| *of == reach).count()
    }
}

/// The response's body without `logout_url`, the only member that may have the provider's ID token.
fn without_logout_url(answer: &Answer) -> String {
    match serde_json::from_str::<serde_json::Value>(&answer.body) {
        Ok(mut body) if answer.url.path() == "/auth/logout" && answer.status == 200 => {
            body.as_object_mut().unwrap().remove("logout_url");
            body.to_string()
        }
        _ => answer.body.clone(),
    }
}

/// The forms in which a value may be written: plain, as bytes, encoded again, or decoded.
fn forms(value: &str) -> Vec<(&'static str, String)> {
    let numbers: Vec<_> = value.bytes().map(|byte| byte.to_string()).collect();
    let mut forms = vec![
        ("text", value.to_owned()),
        ("hex", hex::encode(value.as_bytes())),
        ("numbers", numbers.join(", ")),
        ("base64", STANDARD_NO_PAD.encode(value)),
        ("base64url", URL_SAFE_NO_PAD.encode(value)),
    ];
    let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    if encoded != value {
        forms.push(("urlencoded", encoded));
    }
    if let Ok(bytes) = URL_SAFE_NO_PAD.decode(value).or_else(|_| STANDARD.decode(value))
        && bytes.len() >= 12
    {
        let numbers: Vec<_> = bytes.iter().map(ToString::to_string).collect();
        forms.extend([("hex", hex::encode(&bytes)), ("numbers", numbers.join(", "))]);
    }
    forms
}

/// The text before and after an offset.
fn around(text: &str, at: usize) -> String {
    let (before, after) = text.split_at(at);
    let mut start: Vec<_> = before.chars().rev().take(300).collect();
    start.reverse();
    start.into_iter().chain(after.chars().take(100)).collect()
}

#[test]
fn a_mark_is_found_in_every_form() {
    let mut canaries = Canaries::default();
    let value = "Q0FOQVJZLWlzLWhlcmUtMDA";
    canaries.add(Reach::Provider, "a value", value);
    for text in [
        "before Q0FOQVJZLWlzLWhlcmUtMDA after",
        "x'43414E4152592D69732D686572652D3030'",
        r"\x43414e4152592d69732d686572652d3030",
        "[67, 65, 78, 65, 82, 89, 45, 105, 115, 45, 104, 101, 114, 101, 45, 48, 48]",
        "UTBGT1FWSlpMV2x6TFdobGNtVXRNREE",
    ] {
        assert_eq!(canaries.found_in(text, &[Reach::Provider]).len(), 1, "{text}");
        assert!(canaries.found_in(text, &[Reach::Browser, Reach::Person]).is_empty());
    }
    assert!(canaries.found_in("Q0FOQVJZ", &[Reach::Provider]).is_empty());
}
