//! Open redirects, fixation, replay, hostile answers.

mod callback;
mod fixation;
mod outbound;
mod redirects;
mod replay;
mod times;
