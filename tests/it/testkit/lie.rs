//! One lie at a time.

use portico_demo_idp::Realm;
use portico_demo_idp::knobs::Knobs;

use super::TestApp;

/// One thing that is not as it should be, and what must come of it.
pub struct Lie {
    name: String,
    turn: Box<dyn Fn(&mut Knobs)>,
    refusal: Option<(u16, &'static str)>,
}

impl Lie {
    /// A lie that must be refused like this.
    pub fn refused(status: u16, code: &'static str, name: &str, turn: impl Fn(&mut Knobs) + 'static) -> Self {
        Self { name: name.to_owned(), turn: Box::new(turn), refusal: Some((status, code)) }
    }

    /// The neighbour that must pass, lest the check refuses too much.
    pub fn passes(name: &str, turn: impl Fn(&mut Knobs) + 'static) -> Self {
        Self { name: name.to_owned(), turn: Box::new(turn), refusal: None }
    }
}

/// Tells each lie in a login of its own at this slot, between two honest ones. A lie that is believed, refused in another
/// way, or that leaves a trace in the database is reported; all are told before the test ends.
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
    assert_eq!(app.idp.canary_calls(), 0, "nothing was fetched that a token named");
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
        return Some(format!("the token endpoint was asked {asked} times"));
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
    (!changes.is_empty()).then(|| format!("something was written:\n{}", changes.join("\n")))
}
