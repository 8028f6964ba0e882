//! Back-channel logout and ID tokens.

use std::time::Duration;

use portico_core::claims::IdentityKey;
use portico_core::clock::Entropy;
use portico_core::provider::logout::{LogoutToken, Whose};
use portico_core::session::{Caller, Challenge, NewHandOff, NewSession, RefreshToken, SessionId};
use portico_core::slot::Protocol;
use portico_core::store::{Retention, SessionSelection};

use crate::bench::{Bench, NOON, after, event, on_bench};
use crate::people::{Person, Visit};

on_both_databases!(
    on_bench;
    a_providers_session_ends_ours,
    a_persons_logout_ends_all_that_began_with_the_identity,
    a_notice_is_heard_once,
    a_hand_off_ends_with_the_providers_session,
    an_id_token_is_kept_as_long_as_its_session_is_live,
);

fn once() -> [u8; 32] {
    Entropy.bytes()
}

fn of_session(sid: &str) -> LogoutToken {
    let whose = Whose::Session { issuer: "https://idp.example.com".to_owned(), sid: sid.to_owned() };
    LogoutToken { whose, once: once(), forget_at: after(660) }
}

fn of_person(identity: IdentityKey) -> LogoutToken {
    LogoutToken { whose: Whose::Identity(identity), once: once(), forget_at: after(660) }
}

async fn log_out(bench: &Bench, logout_token: &LogoutToken) -> Option<Vec<SessionId>> {
    let caller = Caller::default();
    let ended = bench.store.backchannel_logout(logout_token, &caller, after(60)).await.unwrap()?;
    assert_eq!(ended.sessions.len(), ended.events.len());
    Some(ended.sessions)
}

/// Another session of the same user, in another session at the provider.
fn again(person: &Person, sid: &str, visit: &Visit) -> Visit {
    let decision = portico_core::account::Decision::Use(visit.new_account);
    Visit::new(&person.clone().with("sid", sid), decision)
}

async fn a_providers_session_ends_ours(bench: &Bench) {
    let person = Person::new("ada-1").with("name", "Ada");
    let first = bench.newcomer(person.clone().with("sid", "s1")).await;
    let second = again(&person, "s2", &first);
    second.succeeds(&*bench.store).await;
    let stranger = Person::new("bruno-2").with("sid", "s3");
    let stranger = Visit::creating(&stranger, &["Bruno"]);
    stranger.succeeds(&*bench.store).await;

    assert_eq!(log_out(bench, &of_session("unknown")).await, Some(vec![]));
    let elsewhere = Whose::Session { issuer: "https://other.example.com".to_owned(), sid: "s1".to_owned() };
    let elsewhere = LogoutToken { whose: elsewhere, once: once(), forget_at: after(660) };
    assert_eq!(
        log_out(bench, &elsewhere).await,
        Some(vec![]),
        "the session identifier belongs to another issuer"
    );
    assert!(!bench.is_revoked(first.session.id).await);

    let logout_token = of_session("s1");
    assert_eq!(log_out(bench, &logout_token).await, Some(vec![first.session.id]));
    assert!(bench.is_revoked(first.session.id).await);
    assert!(!bench.is_revoked(second.session.id).await && !bench.is_revoked(stranger.session.id).await);
    let audited = bench.database.count("audit_events", "reason = 'backchannel_logout'").await;
    assert_eq!(audited, 1);
    assert_eq!(log_out(bench, &of_session("s1")).await, Some(vec![]), "the session is revoked already");
}

async fn a_persons_logout_ends_all_that_began_with_the_identity(bench: &Bench) {
    let person = Person::new("ada-1").with("name", "Ada");
    let first = bench.newcomer(person.clone().with("sid", "s1")).await;
    let second = again(&person, "s2", &first);
    second.succeeds(&*bench.store).await;
    let stranger = Visit::creating(&Person::new("bruno-2"), &["Bruno"]);
    stranger.succeeds(&*bench.store).await;
    let own = first.claims.identity().clone();
    let other = |change: fn(&mut IdentityKey)| {
        let mut other = own.clone();
        change(&mut other);
        of_person(other)
    };
    for logout_token in [
        other(|key| key.protocol = Protocol::OAuth2),
        other(|key| key.issuer.push('/')),
        other(|key| key.issuer.push_str("#oid")),
    ] {
        assert_eq!(log_out(bench, &logout_token).await, Some(vec![]), "{logout_token:?}");
    }
    let mut ended = log_out(bench, &of_person(own)).await.unwrap();
    ended.sort_unstable();
    let mut both = [first.session.id, second.session.id];
    both.sort_unstable();
    assert_eq!(ended, both);
    assert!(!bench.is_revoked(stranger.session.id).await);
}

async fn a_notice_is_heard_once(bench: &Bench) {
    let person = Person::new("ada-1").with("sid", "s1");
    let visit = bench.newcomer(person).await;
    let logout_token = of_session("s1");
    let racing: Vec<_> = (0..16)
        .map(|_| {
            let (store, logout_token) = (bench.store.clone(), logout_token.clone());
            tokio::spawn(async move {
                store.backchannel_logout(&logout_token, &Caller::default(), after(60)).await.unwrap()
            })
        })
        .collect();
    let mut processed = Vec::new();
    for racer in racing {
        processed.extend(racer.await.unwrap());
    }
    let [ended] = &processed[..] else { panic!("{} calls processed the logout token", processed.len()) };
    assert_eq!(ended.sessions, [visit.session.id]);
    let sweep = |seconds| Retention { audit_before: None, now: after(seconds) };
    bench.store.sweep(&sweep(660)).await.unwrap();
    assert_eq!(log_out(bench, &logout_token).await, None, "the logout token is stored until it expires");
    bench.store.sweep(&sweep(661)).await.unwrap();
    assert!(log_out(bench, &logout_token).await.is_some());
}

async fn a_hand_off_ends_with_the_providers_session(bench: &Bench) {
    let handed_off = async |sub: &str, sid: &str| {
        let code = portico_core::session::OneTimeCode::random(Entropy);
        let challenge = Challenge([7; 16]);
        let handoff = NewHandOff { code: code.hash(), challenge, id_token: None, expires_at: after(120) };
        let person = Person::new(sub).with("sid", sid);
        let visit = Visit { handoff: Some(handoff), ..Visit::creating(&person, &[sub]) };
        visit.commit_login(&*bench.store).await;
        (code, visit)
    };
    let (one, _) = handed_off("ada-1", "s1").await;
    let (two, visit) = handed_off("bruno-2", "s2").await;
    let (three, _) = handed_off("chiyo-3", "s3").await;
    log_out(bench, &of_session("s1")).await.unwrap();
    log_out(bench, &of_person(visit.claims.identity().clone())).await.unwrap();
    assert!(bench.store.take_handoff(&one.hash()).await.unwrap().is_none());
    assert!(bench.store.take_handoff(&two.hash()).await.unwrap().is_none());
    assert!(bench.store.take_handoff(&three.hash()).await.unwrap().is_some());
}

async fn an_id_token_is_kept_as_long_as_its_session_is_live(bench: &Bench) {
    let sealed = Some(b"sealed".to_vec());
    let mut visit = Visit::creating(&Person::new("ada-1").with("sid", "s1"), &["Ada"]);
    visit.session.id_token.clone_from(&sealed);
    visit.succeeds(&*bench.store).await;
    let stored_token = async |session| bench.store.find_id_token(session).await.unwrap();
    assert_eq!(stored_token(visit.session.id).await, sealed);
    assert_eq!(stored_token(SessionId(Entropy.id(NOON))).await, None);

    let person = Person::new("ada-1");
    for way in 0..3 {
        let mut next = again(&person, "s1", &visit);
        next.session.id_token.clone_from(&sealed);
        next.succeeds(&*bench.store).await;
        assert_eq!(stored_token(next.session.id).await, sealed);
        let which = [
            SessionSelection::One(next.session.id),
            SessionSelection::Of(visit.new_account),
            SessionSelection::All,
        ][way];
        bench.store.revoke_sessions(which, &event("logout", after(1))).await.unwrap();
        assert_eq!(stored_token(next.session.id).await, None, "{which:?}");
    }
    let mut last = again(&person, "s1", &visit);
    last.session.id_token = sealed;
    last.succeeds(&*bench.store).await;
    log_out(bench, &of_session("s1")).await.unwrap();
    assert_eq!(stored_token(last.session.id).await, None);
    hands_over_the_id_token(bench, &again(&person, "s9", &visit)).await;
}

/// A hand-off carries the ID token; the session stores it sealed anew.
async fn hands_over_the_id_token(bench: &Bench, visit: &Visit) {
    let stored_token = async |session| bench.store.find_id_token(session).await.unwrap();
    let code = portico_core::session::OneTimeCode::random(Entropy);
    let id_token = Some(b"for the code".to_vec());
    let handoff =
        NewHandOff { code: code.hash(), challenge: Challenge([7; 16]), id_token, expires_at: after(60) };
    let waiting = Visit { handoff: Some(handoff), ..visit.clone() };
    waiting.commit_login(&*bench.store).await;
    let taken = bench.store.take_handoff(&code.hash()).await.unwrap().unwrap();
    assert_eq!(taken.id_token.as_deref(), Some(&b"for the code"[..]));
    let session = NewSession {
        id: SessionId(Entropy.id(NOON)),
        created_at: NOON,
        expires_at: NOON.plus(Duration::from_hours(1)),
        refresh: RefreshToken::first(Entropy).hash(),
        id_token: Some(b"for the session".to_vec()),
        caller: Caller::default(),
    };
    bench.store.begin_session(&taken, &session).await.unwrap().unwrap();
    assert_eq!(stored_token(session.id).await.as_deref(), Some(&b"for the session"[..]));
}
