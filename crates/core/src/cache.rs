//! What is kept to save a look elsewhere, and how often it did.

/// Counts one look into a cache: whether the answer was there. `cache` is one of a fixed few words.
pub fn count_lookup(cache: &'static str, hit: bool) {
    let outcome = if hit { "hit" } else { "miss" };
    metrics::counter!("portico_cache_lookups_total", "cache" => cache, "outcome" => outcome).increment(1);
}
