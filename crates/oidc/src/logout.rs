//! The way to the provider's own logout.

use url::Url;

/// A logout request (OIDC RP-Initiated Logout 1.0, 2). The ID token is not kept, so `client_id` says who asks.
pub(crate) fn end_session(endpoint: &Url, client_id: &str, post_logout_redirect: Option<&Url>) -> Url {
    let mut url = endpoint.clone();
    url.query_pairs_mut()
        .append_pair("client_id", client_id)
        .extend_pairs(post_logout_redirect.map(|back| ("post_logout_redirect_uri", back.as_str())));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_named_and_the_way_back_when_there_is_one() {
        let back = Url::parse("https://app.example/bye?a=b").unwrap();
        for (endpoint, back, expected) in [
            ("https://idp.example/end", None, "https://idp.example/end?client_id=a+b"),
            ("https://idp.example/end?p=1", None, "https://idp.example/end?p=1&client_id=a+b"),
            (
                "https://idp.example/end",
                Some(&back),
                "https://idp.example/end?client_id=a+b&post_logout_redirect_uri=https%3A%2F%2Fapp.example%2Fbye%3Fa%3Db",
            ),
        ] {
            assert_eq!(end_session(&Url::parse(endpoint).unwrap(), "a b", back).as_str(), expected);
        }
    }
}
