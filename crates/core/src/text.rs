//! Text from outside, made safe to log and to show.

use unicode_normalization::UnicodeNormalization as _;
use unicode_segmentation::UnicodeSegmentation as _;

/// Foreign text for a log line: at most 200 characters, with control and formatting characters replaced
/// by U+FFFD.
pub fn printable(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() || is_format(c) { '\u{fffd}' } else { c }).collect()
}

/// Whether a character formats text without being visible itself (Unicode general category Cf).
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The maximum length of an account name or a label, in characters.
pub const MAX_NAME_CHARS: usize = 128;

/// Text cleaned for use as a name or a label: in NFC, without control and formatting characters,
/// trimmed, at most [`MAX_NAME_CHARS`] characters. `None` if nothing is left.
pub fn clean(text: &str) -> Option<String> {
    let shown: String = text.nfc().filter(|c| !c.is_control() && !is_format(*c)).collect();
    let short = graphemes_within(shown.trim(), MAX_NAME_CHARS);
    Some(short.trim_end().to_owned()).filter(|name| !name.is_empty())
}

/// The longest prefix of whole graphemes that has at most this many characters.
pub(crate) fn graphemes_within(text: &str, chars: usize) -> String {
    let mut left = chars;
    text.graphemes(true)
        .take_while(|grapheme| {
            let size = grapheme.chars().count();
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        })
        .collect()
}
