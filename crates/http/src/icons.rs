//! The shapes of Material Design icons, by name.
//!
//! All icons are embedded, compressed; only those of the configured slots are loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};

use flate2::read::GzDecoder;

/// One line per icon, sorted by name: name, tab, the `d` of its path. Made by `scripts/icons`.
const PACKED: &[u8] = include_bytes!("../assets/mdi.tsv.gz");

/// The icon of a button whose configured icon does not exist.
const FALLBACK: &str = "mdi:account-key";

/// The icons of the configured slots.
#[derive(Debug)]
pub(crate) struct Icons {
    shapes: BTreeMap<String, String>,
    unknown: BTreeSet<String>,
}

impl Icons {
    /// Loads the icons with these names.
    pub(crate) fn load<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let wanted: BTreeSet<&str> = names.chain([FALLBACK]).collect();
        let shapes = find(&wanted);
        let unknown =
            wanted.into_iter().filter(|name| !shapes.contains_key(*name)).map(str::to_owned).collect();
        Self { shapes, unknown }
    }

    /// The shape of the icon with this name, or of the fallback.
    pub(crate) fn path(&self, name: &str) -> &str {
        self.shapes.get(name).or_else(|| self.shapes.get(FALLBACK)).map_or("", String::as_str)
    }

    /// The names without an icon.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &str> {
        self.unknown.iter().map(String::as_str)
    }
}

/// Decompresses up to the last of the wanted names.
fn find(wanted: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let wanted: BTreeSet<&str> = wanted.iter().filter_map(|name| name.strip_prefix("mdi:")).collect();
    let lines = BufReader::new(GzDecoder::new(PACKED)).lines().map_while(Result::ok);
    let pairs =
        lines.filter_map(|line| line.split_once('\t').map(|(name, path)| (name.to_owned(), path.to_owned())));
    pairs
        .take_while(|(name, _)| wanted.last().is_some_and(|last| name.as_str() <= *last))
        .filter(|(name, _)| wanted.contains(name.as_str()))
        .map(|(name, path)| (format!("mdi:{name}"), path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_have_shapes_and_others_the_fallback() {
        let icons = Icons::load(
            ["mdi:google", "mdi:zodiac-virgo", "mdi:ab-testing", "mdi:no-such", "other:google"].into_iter(),
        );
        assert_eq!(icons.unknown().collect::<Vec<_>>(), ["mdi:no-such", "other:google"]);
        let fallback = icons.path("mdi:account-key");
        assert!(fallback.starts_with('M'));
        assert_eq!(icons.path("mdi:no-such"), fallback);
        for name in ["mdi:google", "mdi:zodiac-virgo", "mdi:ab-testing"] {
            assert!(icons.path(name).starts_with('M') && icons.path(name) != fallback, "{name}");
        }
        assert_eq!(Icons::load(["mdi:account-key"].into_iter()).unknown().count(), 0);
    }

    #[test]
    fn every_shape_is_drawing_commands_and_nothing_else() {
        let lines: Vec<_> = BufReader::new(GzDecoder::new(PACKED)).lines().map(Result::unwrap).collect();
        assert!(lines.len() > 7000 && lines.is_sorted());
        for line in lines {
            let (name, path) = line.split_once('\t').unwrap();
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{name}"
            );
            assert!(path.bytes().all(|b| b"MmZzLlHhVvCcSsQqTtAa0123456789,. -".contains(&b)), "{name}");
        }
    }
}
