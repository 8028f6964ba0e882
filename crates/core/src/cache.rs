//! The metric of cache lookups.

/// Counts a cache lookup as a hit or a miss. `cache` is the metric's label: one of a few fixed words.
pub fn count_lookup(cache: &'static str, hit: bool) {
    let outcome = if hit { "hit" } else { "miss" };
    metrics::counter!("portico_cache_lookups_total", "cache" => cache, "outcome" => outcome).increment(1);
}
