//! An HTML form, submitted as by a browser without scripts.

use url::{Url, form_urlencoded};

use super::{Answer, Request};

/// The action and the fields of a form.
#[derive(Debug, Clone)]
pub struct Form {
    pub action: Url,
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// Parses the only form of a page.
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        let page = &answer.body;
        assert_eq!(page.matches("<form ").count(), 1, "{answer:?}");
        let action = attribute(page.split_once("<form ").unwrap().1, "action");
        let fields =
            page.split("<input ").skip(1).map(|input| (attribute(input, "name"), attribute(input, "value")));
        Self { action: answer.url.join(&action).unwrap(), fields: fields.collect() }
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The request that submits the form.
    pub fn request(&self) -> Request {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.fields).finish();
        Request::new("POST", self.action.clone())
            .header("accept", "text/html")
            .header("sec-fetch-mode", "navigate")
            .body("application/x-www-form-urlencoded", &body)
    }

    /// The request that submits the form from another site, without cookies.
    pub fn sent_from_elsewhere(&self) -> Request {
        self.request().header("sec-fetch-site", "cross-site").header("origin", "null").cookies("")
    }
}

fn attribute(tag: &str, name: &str) -> String {
    let (_, rest) = tag.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("{name} in {tag}"));
    let value = rest.split_once('"').unwrap().0;
    let mut text = value.to_owned();
    for (escaped, plain) in [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
    {
        text = text.replace(escaped, plain);
    }
    text
}
