//! The checks of `portico check --live` for an OpenID Connect provider.

use openidconnect::core::CoreClientAuthMethod;
use portico_core::clock::Timestamp;
use portico_core::error::UpstreamError;
use portico_core::provider::inspection::Finding;
use portico_core::provider::{AuthorizationParams, ClientAuth, Pkce, SigningAlg};
use portico_oauth2::{CodeGrant, probe};
use portico_outbound::Endpoint;
use portico_outbound::reachability::{self, dns, tls};

use crate::OidcClient;
use crate::authorize::authentication_request;
use crate::keys::KeySet;
use crate::metadata::{Metadata, MetadataError};

/// The checks that need a usable discovery document.
const NEEDS_DOCUMENT: [&str; 6] =
    ["jwks", "algorithms", "pkce", "auth_method", "redirect_uri", "client_secret"];

impl OidcClient {
    /// Runs all checks, in a fixed order.
    pub(crate) async fn run_checks(&self, params: &AuthorizationParams<'_>, now: Timestamp) -> Vec<Finding> {
        let url = &self.settings.discovery_url;
        let (dns, document) =
            tokio::join!(dns(url), reachability::document(&self.http, Endpoint::Discovery, url));
        let mut found = vec![dns, tls(url, &document)];
        let read = match &document {
            Err(error) => {
                found.push(Finding::bad("discovery", format!("{error}; is discovery_url right?")));
                found.push(Finding::unknown("issuer", "there is no discovery document"));
                None
            }
            Ok(document) => {
                let tenants = &self.slot.access.tenants;
                let read = Metadata::from_document(document, &self.settings, tenants, &self.http);
                found.extend(document_findings(&read));
                read.ok()
            }
        };
        match read {
            Some(metadata) => found.extend(self.check_endpoints(&metadata, params, now).await),
            None => found.extend(
                NEEDS_DOCUMENT.map(|check| Finding::unknown(check, "there is no usable discovery document")),
            ),
        }
        found
    }

    /// The checks of what the discovery document names.
    async fn check_endpoints(
        &self,
        metadata: &Metadata,
        params: &AuthorizationParams<'_>,
        now: Timestamp,
    ) -> Vec<Finding> {
        let nonce = Some(params.login_secrets.nonce());
        let authorization = authentication_request(&self.slot, metadata, params, nonce);
        let code = probe::NO_CODE.into();
        let grant = CodeGrant {
            slot: &self.slot,
            token_url: &metadata.token,
            auto: metadata.auth(),
            redirect_uri: params.redirect_uri,
            login_secrets: params.login_secrets,
            audience: metadata.issuer.as_str(),
            code: &code,
            now,
        };
        let (keys, redirect_uri, client_secret) = tokio::join!(
            reachability::document(&self.http, Endpoint::KeySet, metadata.jwks()),
            probe::redirect_uri(&self.http, &self.slot, &authorization, params.redirect_uri),
            probe::client_secret(&self.http, &grant),
        );
        let keys = keys.and_then(|document| KeySet::from_document(&document));
        let [jwks, algorithms] = key_findings(&keys, &metadata.algs);
        vec![jwks, algorithms, self.pkce(metadata), self.auth_method(metadata), redirect_uri, client_secret]
    }

    /// Checks whether a code challenge protects the code (RFC 7636).
    fn pkce(&self, metadata: &Metadata) -> Finding {
        const CHECK: &str = "pkce";
        if self.slot.pkce == Pkce::OffByOperator {
            return Finding::bad(CHECK, "pkce_enabled is false: switch it on unless the provider cannot");
        }
        match metadata.code_challenge_methods() {
            Some(methods) if methods.iter().any(|method| method == "S256") => {
                Finding::ok(CHECK, "the provider supports S256")
            }
            Some(_) => Finding::bad(
                CHECK,
                "the provider says that it does not support S256: a stolen code would be worth more there",
            ),
            None => Finding::unknown(CHECK, "the discovery document does not say; S256 is sent all the same"),
        }
    }

    /// Checks whether the provider offers the slot's method of client authentication.
    fn auth_method(&self, metadata: &Metadata) -> Finding {
        const CHECK: &str = "auth_method";
        let own = match &self.slot.auth {
            ClientAuth::Public => "none",
            ClientAuth::PrivateKey(_) => "private_key_jwt",
            ClientAuth::Basic(_) => "client_secret_basic",
            ClientAuth::Post(_) => "client_secret_post",
            ClientAuth::Auto(_) => "auto",
        };
        // The default is client_secret_basic (OIDC Discovery 3).
        let basic = [CoreClientAuthMethod::ClientSecretBasic];
        let offered = metadata.auth_methods().unwrap_or(&basic).iter();
        let offered: Vec<&str> = offered.map(AsRef::as_ref).collect();
        let fits = match own {
            "auto" => {
                offered.iter().any(|method| ["client_secret_basic", "client_secret_post"].contains(method))
            }
            own => offered.contains(&own),
        };
        let offered = offered.join(", ");
        if fits {
            Finding::ok(CHECK, format!("{own} fits what the provider offers"))
        } else if own == "none" {
            let problem =
                format!("there is no client_secret, and the provider wants one: it offers {offered}");
            Finding::bad(CHECK, problem)
        } else {
            Finding::bad(
                CHECK,
                format!("token_endpoint_auth_method is {own}, and the provider offers {offered}"),
            )
        }
    }
}

/// The findings about the document and its issuer.
fn document_findings(read: &Result<Metadata, MetadataError>) -> [Finding; 2] {
    match read {
        Ok(metadata) => [
            Finding::ok("discovery", "the document is complete"),
            Finding::ok("issuer", format!("{}", metadata.issuer)),
        ],
        Err(MetadataError::Issuer(problem)) => [
            Finding::ok("discovery", "there is a document"),
            Finding::bad(
                "issuer",
                format!(
                    "{problem}; correct discovery_url, or issuer if the provider changed its name on \
                     purpose: identities are stored with it"
                ),
            ),
        ],
        Err(MetadataError::Member(problem)) => [
            Finding::bad("discovery", UpstreamError::Metadata(problem.clone())),
            Finding::unknown("issuer", "the discovery document cannot be used"),
        ],
    }
}

/// The findings about the key set and about the algorithms that it serves.
fn key_findings(keys: &Result<KeySet, UpstreamError>, algs: &[SigningAlg]) -> [Finding; 2] {
    let keys = match keys {
        Ok(keys) => keys,
        Err(error) => {
            return [
                Finding::bad("jwks", error),
                Finding::unknown("algorithms", "there is no usable key set"),
            ];
        }
    };
    let usable: Vec<_> = algs.iter().filter(|alg| keys.candidates(**alg, None).next().is_some()).collect();
    let names = |algs: &[&SigningAlg]| algs.iter().map(|alg| alg.as_str()).collect::<Vec<_>>().join(", ");
    let algorithms = if usable.is_empty() {
        let wanted = names(&algs.iter().collect::<Vec<_>>());
        Finding::bad("algorithms", format!("no published key is good for {wanted}: check allowed_algs"))
    } else {
        Finding::ok("algorithms", names(&usable))
    };
    [Finding::ok("jwks", "there are usable keys"), algorithms]
}
