//! Request parameters, each at most once (RFC 6749, 3.1 and 3.2).

/// The parameters of a query or a form, in order.
pub(crate) struct Params(Vec<(String, String)>);

/// A parameter occurs more than once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RepeatedParameter;

impl Params {
    /// Decodes `application/x-www-form-urlencoded` text. A repeated name is an error.
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, RepeatedParameter> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(encoded) {
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(RepeatedParameter);
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter. An empty value counts as absent (RFC 6749, 3.1).
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All pairs except those with these names.
    pub(crate) fn without(&self, names: &[&str]) -> Vec<(String, String)> {
        self.0.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_are_refused_however_they_are_spelled() {
        assert!(Params::parse(b"state=a&st%61te=b").is_err());
        let params = Params::parse(b"a=1+2&b=&c=%C3%A4").unwrap();
        assert_eq!([params.find("a"), params.find("b"), params.find("c")], [Some("1 2"), None, Some("ä")]);
    }
}
