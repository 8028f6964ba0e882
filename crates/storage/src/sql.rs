//! Every statement, once, in the SQL that SQLite and PostgreSQL share.
//!
//! Guards are part of the statements that write. Each statement returns a row for what it found or wrote, so
//! the result shows whether its guard held.

/// Names each statement and lists all of them for [`crate::Storage::verify`].
macro_rules! statements {
    ($($name:ident = $sql:expr;)*) => {
        $(pub(crate) const $name: &str = $sql;)*

        /// All statements.
        pub(crate) const STATEMENTS: &[&str] = &[$($name),*];
    };
}

/// The columns of [`crate::rows::account`]. Grants are joined by U+001F, which their tables reject in a name.
macro_rules! account {
    () => {
        "a.id, a.name, a.label, a.email, a.email_verified, a.status, a.ever_linked_at, a.created_at, \
          a.last_login_at, \
         (SELECT string_agg(r.role, '\u{1f}' ORDER BY r.role) \
            FROM account_roles r WHERE r.account_id = a.id) AS granted_roles, \
         (SELECT string_agg(g.group_name, '\u{1f}' ORDER BY g.group_name) \
            FROM account_groups g WHERE g.account_id = a.id) AS granted_groups"
    };
}

/// The columns of [`crate::rows::session`].
macro_rules! session {
    () => {
        "s.id AS session_id, s.account_id, s.identity_id, s.slot, s.facts, s.created_at AS began_at, \
          s.last_used_at, \
         s.expires_at, s.revoked_at, s.ip, s.user_agent"
    };
}

/// The columns of [`crate::rows::entry`].
macro_rules! entry {
    () => {
        concat!(account!(), ", ", session!())
    };
}

statements! {
    PING = "SELECT count(*) AS keys FROM signing_keys";

    MIGRATIONS = "SELECT version, description, checksum FROM _sqlx_migrations ORDER BY version";

    SPEND_LOGIN = "INSERT INTO spent_logins (hash, forget_at) VALUES ($1, $2) \
        ON CONFLICT (hash) DO NOTHING RETURNING hash";

    // ---- Accounts -----------------------------------------------------------------------------------------

    ACCOUNT_BY_IDENTITY = concat!("SELECT ", account!(), " \
        FROM identities i JOIN accounts a ON a.id = i.account_id \
        WHERE i.protocol = $1 AND i.issuer = $2 AND i.subject = $3");

    ACCOUNT_BY_NAME = concat!("SELECT ", account!(), " FROM accounts a WHERE a.name = $1");

    ACCOUNT_BY_ID = concat!("SELECT ", account!(), " FROM accounts a WHERE a.id = $1");

    // The comparison comes first: PostgreSQL infers the type of a parameter from it, and not from IS NULL.
    ACCOUNTS = concat!("SELECT ", account!(), " FROM accounts a \
        WHERE (a.status = $1 OR $1 IS NULL) AND (a.name = $2 OR $2 IS NULL) \
          AND (EXISTS (SELECT 1 FROM account_roles r \
            WHERE r.account_id = a.id AND r.role = $3) OR $3 IS NULL) \
          AND (a.id > $4 OR $4 IS NULL) \
        ORDER BY a.id LIMIT $5");

    ADOPTABLE = concat!("SELECT ", account!(), " FROM accounts a \
        WHERE a.status = 'active' AND a.ever_linked_at IS NULL");

    ACQUAINTED = "SELECT slot, issuer, client_id, count(*) AS people FROM identities \
        GROUP BY slot, issuer, client_id";

    IDENTITIES = "SELECT id, protocol, issuer, subject, slot, email, linked_at, last_login_at \
        FROM identities \
        WHERE account_id = $1 ORDER BY linked_at, id";

    // ---- Logins -------------------------------------------------------------------------------------------

    ENTER_IDENTITY = "UPDATE identities SET slot = $5, client_id = $6, email = $7, last_login_at = $8 \
        WHERE protocol = $1 AND issuer = $2 AND subject = $3 AND account_id = $4 RETURNING id";

    // A login without an e-mail keeps the last known address; one with an e-mail replaces the address and its
    // flag.
    ENTER_ACCOUNT = "UPDATE accounts SET label = coalesce($2, label), email = coalesce($3, email), \
          email_verified = CASE WHEN $3 IS NULL THEN email_verified ELSE $4 END, last_login_at = $5 \
        WHERE id = $1 AND status = 'active' RETURNING id";

    // Threat catalogue 7.4, F1 to F3: the account is active and was never linked. Having no identity now is
    // not enough.
    ADOPT_ACCOUNT = "UPDATE accounts SET label = coalesce($2, label), email = coalesce($3, email), \
          email_verified = CASE WHEN $3 IS NULL THEN email_verified ELSE $4 END, \
          last_login_at = $5, ever_linked_at = $5 \
        WHERE id = $1 AND status = 'active' AND ever_linked_at IS NULL RETURNING id";

    CREATE_ACCOUNT = "INSERT INTO accounts \
          (id, name, label, email, email_verified, status, ever_linked_at, created_at, last_login_at) \
        VALUES ($1, $2, $3, $4, $5, 'active', $6, $7, $8) ON CONFLICT (name) DO NOTHING RETURNING id";

    GRANT_ROLE = "INSERT INTO account_roles (account_id, role) VALUES ($1, $2) \
        ON CONFLICT (account_id, role) DO NOTHING RETURNING role";

    REVOKE_ROLE = "DELETE FROM account_roles WHERE account_id = $1 AND role = $2 RETURNING role";

    GRANT_GROUP = "INSERT INTO account_groups (account_id, group_name) VALUES ($1, $2) \
        ON CONFLICT (account_id, group_name) DO NOTHING RETURNING group_name";

    REVOKE_GROUP = "DELETE FROM account_groups WHERE account_id = $1 AND group_name = $2 \
        RETURNING group_name";

    LINK_IDENTITY = "INSERT INTO identities \
          (id, account_id, protocol, issuer, subject, slot, client_id, email, linked_at, last_login_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) \
        ON CONFLICT (protocol, issuer, subject) DO NOTHING RETURNING id";

    // The requesting session is live and belongs to the account. The update locks it until the end of the
    // transaction.
    LINK_SESSION = "UPDATE sessions SET last_used_at = $3 \
        WHERE id = $2 AND account_id = $1 AND revoked_at IS NULL AND expires_at > $3 RETURNING id";

    LINK_ACCOUNT = "UPDATE accounts SET ever_linked_at = coalesce(ever_linked_at, $2) \
        WHERE id = $1 AND status = 'active' RETURNING id";

    BEGIN_HAND_OFF = "INSERT INTO hand_offs \
          (code, account_id, identity_id, slot, facts, challenge, created_at, expires_at, id_token) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING account_id";

    TAKE_HAND_OFF = "DELETE FROM hand_offs WHERE code = $1 \
        RETURNING account_id, identity_id, slot, facts, challenge, created_at, expires_at, id_token";

    DROP_HAND_OFFS_OF = "DELETE FROM hand_offs WHERE account_id = $1 RETURNING account_id";

    DROP_HAND_OFFS = "DELETE FROM hand_offs RETURNING account_id";

    // An account has one break-glass code: a new one replaces an earlier one.
    ADD_BREAK_GLASS = "INSERT INTO break_glass (code, account_id, expires_at) VALUES ($1, $2, $3) \
        ON CONFLICT (account_id) DO UPDATE SET code = excluded.code, expires_at = excluded.expires_at \
        RETURNING code";

    ACCOUNT_OF_BREAK_GLASS = "SELECT account_id FROM break_glass WHERE code = $1 AND expires_at > $2";

    TAKE_BREAK_GLASS = "DELETE FROM break_glass WHERE code = $1 AND expires_at > $2 RETURNING account_id";

    DROP_BREAK_GLASS_OF = "DELETE FROM break_glass WHERE account_id = $1 RETURNING account_id";

    DROP_ALL_BREAK_GLASS = "DELETE FROM break_glass RETURNING account_id";

    // ---- Account changes ----------------------------------------------------------------------------------

    DISABLE_ACCOUNT = "UPDATE accounts SET status = 'disabled' WHERE id = $1 AND status = 'active' \
        RETURNING id";

    ENABLE_ACCOUNT = "UPDATE accounts SET status = 'active' WHERE id = $1 AND status = 'disabled' \
        RETURNING id";

    DELETE_ACCOUNT = "UPDATE accounts SET status = 'deleted' WHERE id = $1 AND status <> 'deleted' \
        RETURNING id";

    RELEASE_IDENTITIES = "DELETE FROM identities WHERE account_id = $1 \
          AND EXISTS (SELECT 1 FROM accounts a WHERE a.id = identities.account_id AND a.status = 'deleted') \
        RETURNING id";

    // Locks the account until the end of the transaction, so that concurrent changes of it run one after
    // another.
    LOCK_ACCOUNT = "UPDATE accounts SET label = label WHERE id = $1 RETURNING status";

    UNLINK_IDENTITY = "DELETE FROM identities WHERE id = $1 RETURNING id";

    MERGE_MARK = "UPDATE accounts \
        SET ever_linked_at = coalesce(ever_linked_at, (SELECT f.ever_linked_at FROM accounts f \
            WHERE f.id = $2)) \
        WHERE id = $1 AND status = 'active' RETURNING id";

    MERGE_IDENTITIES = "UPDATE identities SET account_id = $1 WHERE account_id = $2 RETURNING id";

    MERGE_ROLES = "INSERT INTO account_roles (account_id, role) \
        SELECT a.id, r.role FROM account_roles r JOIN accounts a ON a.id = $1 WHERE r.account_id = $2 \
        ON CONFLICT (account_id, role) DO NOTHING RETURNING role";

    MERGE_GROUPS = "INSERT INTO account_groups (account_id, group_name) \
        SELECT a.id, g.group_name FROM account_groups g JOIN accounts a ON a.id = $1 WHERE g.account_id = $2 \
        ON CONFLICT (account_id, group_name) DO NOTHING RETURNING group_name";

    FORGET_ROLES = "DELETE FROM account_roles WHERE account_id = $1 RETURNING role";

    FORGET_GROUPS = "DELETE FROM account_groups WHERE account_id = $1 RETURNING group_name";

    // ---- Sessions -----------------------------------------------------------------------------------------

    // The identity belongs to the account, which is active. Its issuer is stored for back-channel logout.
    BEGIN_SESSION = "INSERT INTO sessions (id, account_id, identity_id, slot, issuer, idp_sid, facts, \
          created_at, last_used_at, expires_at, ip, user_agent, id_token) \
        SELECT $1, a.id, i.id, $4, i.issuer, $5, $6, $7, $7, $8, $9, $10, $11 \
        FROM identities i JOIN accounts a ON a.id = i.account_id \
        WHERE i.id = $3 AND a.id = $2 AND a.status = 'active' RETURNING id";

    // Started by a break-glass code: without an identity and without an issuer.
    BEGIN_BREAK_GLASS_SESSION = "INSERT INTO sessions (id, account_id, identity_id, slot, issuer, facts, \
          created_at, last_used_at, expires_at, ip, user_agent) \
        VALUES ($1, $2, NULL, $3, '', $4, $5, $5, $6, $7, $8) RETURNING id";

    ADD_REFRESH = "INSERT INTO refresh_tokens (hash, session_id) VALUES ($1, $2) RETURNING session_id";

    PRESENT = concat!("SELECT ", entry!(), " FROM sessions s JOIN accounts a ON a.id = s.account_id \
        WHERE s.id = $1");

    REVOKE_SESSION = "UPDATE sessions SET revoked_at = $2, id_token = NULL \
        WHERE id = $1 AND revoked_at IS NULL \
        RETURNING account_id, slot";

    REVOKE_OTHER_SESSIONS = "UPDATE sessions SET revoked_at = $2, id_token = NULL \
        WHERE account_id = $1 AND id <> $3 AND revoked_at IS NULL RETURNING account_id, slot";

    REVOKE_SESSIONS_BY = "UPDATE sessions SET revoked_at = $2, id_token = NULL \
        WHERE identity_id = $1 AND revoked_at IS NULL \
        RETURNING account_id, slot";

    REVOKE_ALL_SESSIONS = "UPDATE sessions SET revoked_at = $1, id_token = NULL \
        WHERE revoked_at IS NULL AND expires_at > $1 \
        RETURNING id";

    ID_TOKEN = "SELECT id_token FROM sessions WHERE id = $1 AND id_token IS NOT NULL";

    // The session identifier of a provider is unique per issuer.
    REVOKE_IDP_SESSION = "UPDATE sessions SET revoked_at = $3, id_token = NULL \
        WHERE issuer = $1 AND idp_sid = $2 AND revoked_at IS NULL AND expires_at > $3 \
        RETURNING id, account_id, slot";

    REVOKE_IDENTITY_SESSIONS = "UPDATE sessions SET revoked_at = $4, id_token = NULL \
        WHERE identity_id IN (SELECT i.id FROM identities i \
            WHERE i.protocol = $1 AND i.issuer = $2 AND i.subject = $3) \
          AND revoked_at IS NULL AND expires_at > $4 RETURNING id, account_id, slot";

    HAND_OFFS_OF_ISSUER = "SELECT h.code, h.facts, i.subject \
        FROM hand_offs h JOIN identities i ON i.id = h.identity_id \
        WHERE i.protocol = 'oidc' AND i.issuer = $1";

    DROP_HAND_OFF = "DELETE FROM hand_offs WHERE code = $1 RETURNING account_id";

    SESSIONS = concat!("SELECT ", session!(), " FROM sessions s \
        WHERE s.revoked_at IS NULL AND s.expires_at > $1 AND s.last_used_at >= $2 \
          AND (s.id > $3 OR $3 IS NULL) \
        ORDER BY s.id LIMIT $4");

    // A separate statement, because SQLite uses no index if the account is optional.
    SESSIONS_OF = concat!("SELECT ", session!(), " FROM sessions s \
        WHERE s.account_id = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND s.last_used_at >= $3 \
          AND (s.id > $4 OR $4 IS NULL) \
        ORDER BY s.id LIMIT $5");

    FIND_REFRESH = "SELECT session_id FROM refresh_tokens WHERE hash = $1";

    SUPERSEDE = "UPDATE refresh_tokens SET superseded_at = $3 \
        WHERE hash = $1 AND session_id = $2 AND superseded_at IS NULL RETURNING session_id";

    USE_SESSION = "UPDATE sessions SET last_used_at = $2 \
        WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2 \
          AND EXISTS (SELECT 1 FROM accounts a WHERE a.id = sessions.account_id AND a.status = 'active') \
        RETURNING id";

    SUPERSEDED = concat!("SELECT ", entry!(), ", t.superseded_at, c.hash AS current_hash \
        FROM refresh_tokens t \
          JOIN refresh_tokens c ON c.session_id = t.session_id AND c.superseded_at IS NULL \
          JOIN sessions s ON s.id = t.session_id JOIN accounts a ON a.id = s.account_id \
        WHERE t.hash = $1 AND t.session_id = $2 AND t.superseded_at IS NOT NULL \
          AND s.revoked_at IS NULL AND s.expires_at > $3 AND a.status = 'active'");

    SUPERSEDED_SINCE = "SELECT hash FROM refresh_tokens \
          WHERE session_id = $1 AND superseded_at >= $2 LIMIT $3";

    // ---- Keys, audit and cleanup --------------------------------------------------------------------------

    // Of keys created within one second, the one in the later state is the older.
    KEYS = "SELECT kid, alg, state, public_jwk, sealed, created_at, retires_at FROM signing_keys \
        ORDER BY created_at, CASE state WHEN 'retired' THEN 0 WHEN 'current' THEN 1 ELSE 2 END, kid";

    ADD_KEY = "INSERT INTO signing_keys (kid, alg, state, public_jwk, sealed, created_at, retires_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING kid";

    RETIRE_KEYS = "UPDATE signing_keys SET state = 'retired', retires_at = $2 \
        WHERE state = 'current' AND EXISTS (SELECT 1 FROM signing_keys n \
          WHERE n.kid = $1 AND n.state = 'next') \
        RETURNING kid";

    PROMOTE_KEY = "UPDATE signing_keys SET state = 'current' WHERE kid = $1 AND state = 'next' RETURNING kid";

    RESEAL_KEY = "UPDATE signing_keys SET sealed = $3 WHERE kid = $1 AND sealed = $2 RETURNING kid";

    DISCARD_KEY = "DELETE FROM signing_keys WHERE kid = $1 AND sealed = $2 RETURNING kid";

    EVENTS = "SELECT id, time, event, account_id, slot, outcome, reason, request_id, ip FROM audit_events \
        WHERE (time >= $1 OR $1 IS NULL) AND (event = $2 OR $2 IS NULL) AND (account_id = $3 OR $3 IS NULL) \
          AND (id > $4 OR $4 IS NULL) \
        ORDER BY id LIMIT $5";

    RECORD = "INSERT INTO audit_events (id, time, event, account_id, slot, outcome, reason, request_id, ip) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id";

    FORGET_LOGINS = "DELETE FROM spent_logins \
        WHERE hash IN (SELECT hash FROM spent_logins WHERE forget_at < $1 LIMIT $2) RETURNING hash";

    FORGET_SESSIONS = "DELETE FROM sessions \
        WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 OR revoked_at < $1 LIMIT $2) RETURNING id";

    FORGET_HAND_OFFS = "DELETE FROM hand_offs \
        WHERE code IN (SELECT code FROM hand_offs WHERE expires_at < $1 LIMIT $2) RETURNING code";

    FORGET_BREAK_GLASS = "DELETE FROM break_glass \
        WHERE code IN (SELECT code FROM break_glass WHERE expires_at < $1 LIMIT $2) RETURNING code";

    FORGET_KEYS = "DELETE FROM signing_keys \
        WHERE kid IN (SELECT kid FROM signing_keys WHERE state = 'retired' AND retires_at < $1 LIMIT $2) \
        RETURNING kid";

    FORGET_EVENTS = "DELETE FROM audit_events \
        WHERE id IN (SELECT id FROM audit_events WHERE time < $1 LIMIT $2) RETURNING id";
}
