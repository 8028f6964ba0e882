//! Wrong settings, and what is said about them.
