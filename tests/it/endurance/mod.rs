//! What only shows when it is done often, or by several at once.

mod refresh;
mod replicas;
mod rotation;
