//! High threats: open redirects, fixation, replay, linking, hand-off, hostile responses.

mod callback;
mod fixation;
mod handover;
mod linking;
mod logout;
mod order;
#[expect(clippy::disallowed_methods, reason = "tests measure durations")]
mod outbound;
mod redirects;
mod replay;
mod times;
