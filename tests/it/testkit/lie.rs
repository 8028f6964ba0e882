//! Manipulated answers of a provider, one manipulation per login.

use portico_demo_idp::Realm;
use portico_demo_idp::knobs::Knobs;

use super::TestApp;

/// One manipulation of a provider's answers, and the expected result of the login.
pub struct Lie {
    name: String,
    turn: Box<dyn Fn(&mut Knobs)>,
    refusal: Option<(u16, &'static str)>,
}

impl Lie {
    /// A manipulation that must be refused with this status and code.
    pub fn refused(status: u16, code: &'static str, name: &str, turn: impl Fn(&mut Knobs) + 'static) -> Self {
        Self { name: name.to_owned(), turn: Box::new(turn), refusal: Some((status, code)) }
    }

    /// A similar but permitted change that must pass, so that a check that is too strict is found.
    pub fn passes(name: &str, turn: impl Fn(&mut Knobs) + 'static) -> Self {
        Self { name: name.to_owned(), turn: Box::new(turn), refusal: None }
    }
}

/// Runs one login per manipulation at this slot, between two correct logins.
///
/// A manipulation is reported if it is accepted, is refused in another way, or changes the database. All
/// manipulations run before the test fails.
pub async fn tell(app: &TestApp, slot: &str, lies: Vec<Lie>) {
    let realm = app.realm(slot);
    app.browser().log_in(slot, "ada-1").await;
    let mut failures = Vec::new();
    for lie in lies {
        if let Some(problem) = tell_one(app, slot, &realm, &lie).await {
            failures.push(format!("{}: {problem}", lie.name));
        }
    }
    assert!(failures.is_empty(), "at {slot}:\n{}", failures.join("\n"));
    app.browser().log_in(slot, "bruno-2").await;
    assert_eq!(app.idp.canary_calls(), 0, "a URL from a token must not be fetched");
}

async fn tell_one(app: &TestApp, slot: &str, realm: &Realm, lie: &Lie) -> Option<String> {
    let before = app.rows().await;
    let calls = realm.counters();
    let mut browser = app.browser();
    let callback = browser.reach_callback(slot, "ada-1").await;
    realm.knobs(|knobs| (lie.turn)(knobs));
    let answer = browser.relay(&callback).await;
    app.be_honest(slot);
    let asked = realm.counters().token - calls.token;
    if asked != 1 {
        return Some(format!("the token endpoint received {asked} requests instead of 1"));
    }
    let Some((status, code)) = lie.refusal else {
        return (answer.status != 200).then(|| format!("must pass, but {} {}", answer.status, answer.body));
    };
    let received = serde_json::from_str::<serde_json::Value>(&answer.body).unwrap_or_default();
    if (answer.status, received["code"].as_str()) != (status, Some(code)) {
        return Some(format!("expected {status} {code}, got {} {}", answer.status, answer.body));
    }
    if answer.gives_session() {
        return Some("a session cookie was set".to_owned());
    }
    let changes = before.changes(&app.rows().await);
    (!changes.is_empty()).then(|| format!("the database changed:\n{}", changes.join("\n")))
}
