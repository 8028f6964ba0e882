//! Issuer identifiers, and templates for the issuers of many tenants.

use std::borrow::Cow;
use std::fmt;

/// The placeholder for a tenant in an issuer template (Entra ID's `common` and `organizations`).
const TENANT: &str = "{tenantid}";

/// An issuer identifier, stored and compared as raw text, never as a URL (OIDC Core 3.1.3.7 (2)).
///
/// Entra ID's discovery documents for several tenants have a template as issuer,
/// `https://…/{tenantid}/v2.0`. It stands for the issuers of the tenants. A token never has the template
/// itself as its issuer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Issuer(String);

impl Issuer {
    /// The issuer with this exact text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The exact text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a template for the issuers of many tenants.
    pub fn is_template(&self) -> bool {
        self.0.contains(TENANT)
    }

    /// The issuer of one tenant: the template with the tenant's id, or the issuer itself if it is no
    /// template. `None` if the text is not the id of a tenant.
    pub fn of_tenant(&self, tenant: Option<&str>) -> Option<Cow<'_, str>> {
        if !self.is_template() {
            return Some(Cow::Borrowed(&self.0));
        }
        let tenant = tenant.filter(|tenant| is_tenant_id(tenant))?;
        Some(Cow::Owned(self.0.replace(TENANT, tenant)))
    }

    /// Whether the text is this issuer, or the issuer of one of these tenants if this is a template.
    pub fn is_named(&self, text: &str, tenants: &[String]) -> bool {
        if !self.is_template() {
            return self.0 == text;
        }
        tenants.iter().any(|tenant| self.of_tenant(Some(tenant)).is_some_and(|own| own == text))
    }
}

/// Whether a text is the id of an Entra ID tenant: a GUID in lower case.
pub fn is_tenant_id(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(hex))
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    #[test]
    fn a_template_is_filled_by_the_id_of_a_tenant_and_nothing_else() {
        let template = Issuer::new("https://login.example/{tenantid}/v2.0");
        let filled = "https://login.example/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0";
        assert_eq!(template.of_tenant(Some(ONE)).as_deref(), Some(filled));
        for bad in [
            "",
            "common",
            "72F988BF-86F1-41AF-91AB-2D7CD011DB47",
            "72f988bf86f141af91ab2d7cd011db47",
            "72f988bf-86f1-41af-91ab-2d7cd011db4",
            "72f988bf-86f1-41af-91ab-2d7cd011db47/..",
            "72f988bf-86f1-41af-91ab-2d7cd011dbg7",
            "{tenantid}",
        ] {
            assert_eq!(template.of_tenant(Some(bad)), None, "{bad}");
        }
        assert_eq!(template.of_tenant(None), None);
        let plain = Issuer::new("https://idp.example");
        assert_eq!(plain.of_tenant(None).as_deref(), Some("https://idp.example"));
    }

    #[test]
    fn an_issuer_is_named_by_its_exact_text_or_by_that_of_a_tenant() {
        let tenants = [ONE.to_owned()];
        let template = Issuer::new("https://login.example/{tenantid}/v2.0");
        let issuer = |tenant: &str| format!("https://login.example/{tenant}/v2.0");
        assert!(template.is_named(&issuer(ONE), &tenants));
        assert!(!template.is_named(&issuer("11111111-1111-1111-1111-111111111111"), &tenants));
        assert!(!template.is_named(template.as_str(), &tenants), "the template itself is no tenant");
        let plain = Issuer::new("https://idp.example");
        assert!(plain.is_named("https://idp.example", &[]));
        assert!(!plain.is_named("https://idp.example/", &tenants));
    }
}
