//! The parameters of queries and forms. Each known parameter occurs at most once and has a limited length.

use url::form_urlencoded;

/// The only value of a parameter. Names and values are decoded first, so that no spelling hides a second
/// value.
///
/// # Errors
/// With a sentence for the log: the parameter occurs twice (threats H19), is too long, or is not UTF-8.
pub(crate) fn once(query: &str, name: &str, longest: usize) -> Result<Option<String>, &'static str> {
    let mut values =
        form_urlencoded::parse(query.as_bytes()).filter(|(own, _)| own == name).map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("a parameter occurs more than once");
    }
    if value.len() > longest {
        return Err("a parameter is too long");
    }
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return Err("a parameter is not UTF-8");
    }
    Ok(Some(value.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_comes_at_most_once_however_it_is_written() {
        let twice = Err("a parameter occurs more than once");
        for (query, expected) in [
            ("", Ok(None)),
            ("a=b&&=&c", Ok(None)),
            ("states=x&State=x&state[]=x&state%00=x", Ok(None)),
            ("state=x", Ok(Some("x"))),
            ("state", Ok(Some(""))),
            ("state=", Ok(Some(""))),
            ("%73tate=x", Ok(Some("x"))),
            ("state=a%26b=c+d", Ok(Some("a&b=c d"))),
            ("state=12345678", Ok(Some("12345678"))),
            ("state=123456789", Err("a parameter is too long")),
            ("state=%ff", Err("a parameter is not UTF-8")),
            ("state=x&state=x", twice),
            ("state=x&a=b&state=", twice),
            ("state&state=x", twice),
            ("state=x&%73%74%61%74%65=y", twice),
            ("st%61te=x&state=y", twice),
        ] {
            assert_eq!(once(query, "state", 8), expected.map(|value| value.map(str::to_owned)), "{query}");
        }
    }

    #[test]
    fn no_order_of_pieces_hides_a_second_one() {
        let pieces = ["state=x", "%73tate=x", "a=b", "", "state", "=state"];
        let names_state = |piece: &&str| ["state=x", "%73tate=x", "state"].contains(piece);
        for number in 0..pieces.len().pow(4) {
            let chosen: Vec<_> =
                (0..4).map(|digit| pieces[number / pieces.len().pow(digit) % pieces.len()]).collect();
            let found = once(&chosen.join("&"), "state", 8);
            match chosen.iter().filter(|piece| names_state(piece)).count() {
                0 => assert_eq!(found, Ok(None), "{chosen:?}"),
                1 => assert!(found.is_ok_and(|value| value.is_some()), "{chosen:?}"),
                _ => assert!(found.is_err(), "{chosen:?}"),
            }
        }
    }
}
