-- Times are Unix seconds. Identifiers are UUIDs of 16 bytes. Text is compared byte by byte.
-- docs/storage.md explains the tables; the twin for PostgreSQL has the same ones.

CREATE TABLE accounts (
    id             BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    name           TEXT NOT NULL UNIQUE COLLATE BINARY CHECK (name <> ''),
    label          TEXT NOT NULL,
    email          TEXT,
    email_verified INTEGER CHECK (email_verified IN (0, 1)),
    status         TEXT NOT NULL CHECK (status IN ('active', 'disabled', 'deleted')),
    ever_linked_at INTEGER,
    created_at     INTEGER NOT NULL,
    last_login_at  INTEGER
) STRICT;

CREATE INDEX accounts_adoptable ON accounts (id) WHERE ever_linked_at IS NULL;

CREATE TRIGGER accounts_keep_their_name BEFORE UPDATE OF name ON accounts
WHEN NEW.name IS NOT OLD.name
BEGIN
    SELECT RAISE(ABORT, 'the name of an account never changes');
END;

CREATE TRIGGER accounts_stay_linked BEFORE UPDATE OF ever_linked_at ON accounts
WHEN OLD.ever_linked_at IS NOT NULL AND NEW.ever_linked_at IS NOT OLD.ever_linked_at
BEGIN
    SELECT RAISE(ABORT, 'the mark of a linked account is never cleared');
END;

-- What an operator granted. U+001F separates the names when they are read.
CREATE TABLE account_roles (
    account_id BLOB NOT NULL REFERENCES accounts,
    role       TEXT NOT NULL COLLATE BINARY CHECK (role <> '' AND instr(role, char(31)) = 0),
    PRIMARY KEY (account_id, role)
) STRICT, WITHOUT ROWID;

CREATE INDEX account_roles_by_role ON account_roles (role, account_id);

CREATE TABLE account_groups (
    account_id BLOB NOT NULL REFERENCES accounts,
    group_name TEXT NOT NULL COLLATE BINARY CHECK (group_name <> '' AND instr(group_name, char(31)) = 0),
    PRIMARY KEY (account_id, group_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE identities (
    id            BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    account_id    BLOB NOT NULL REFERENCES accounts,
    protocol      TEXT NOT NULL CHECK (protocol IN ('oidc', 'oauth2')),
    issuer        TEXT NOT NULL COLLATE BINARY,
    subject       TEXT NOT NULL COLLATE BINARY CHECK (subject <> ''),
    slot          TEXT NOT NULL,
    client_id     TEXT NOT NULL,
    email         TEXT,
    linked_at     INTEGER NOT NULL,
    last_login_at INTEGER NOT NULL,
    UNIQUE (protocol, issuer, subject)
) STRICT;

CREATE INDEX identities_by_account ON identities (account_id, linked_at);

CREATE TRIGGER identities_need_a_mark BEFORE INSERT ON identities
WHEN (SELECT ever_linked_at FROM accounts WHERE id = NEW.account_id) IS NULL
BEGIN
    SELECT RAISE(ABORT, 'an account with an identity is marked as linked');
END;

CREATE TRIGGER identities_move_to_a_mark BEFORE UPDATE OF account_id ON identities
WHEN (SELECT ever_linked_at FROM accounts WHERE id = NEW.account_id) IS NULL
BEGIN
    SELECT RAISE(ABORT, 'an account with an identity is marked as linked');
END;

CREATE TABLE sessions (
    id           BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    account_id   BLOB NOT NULL REFERENCES accounts,
    identity_id  BLOB REFERENCES identities ON DELETE SET NULL,
    slot         TEXT NOT NULL,
    issuer       TEXT NOT NULL COLLATE BINARY,
    idp_sid      TEXT COLLATE BINARY,
    facts        TEXT NOT NULL CHECK (json_valid(facts)),
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    revoked_at   INTEGER,
    ip           TEXT,
    user_agent   TEXT
) STRICT;

CREATE INDEX sessions_by_account ON sessions (account_id);
CREATE INDEX sessions_by_identity ON sessions (identity_id);
CREATE INDEX sessions_by_idp_sid ON sessions (issuer, idp_sid) WHERE idp_sid IS NOT NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_revocation ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE refresh_tokens (
    hash          BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
    session_id    BLOB NOT NULL REFERENCES sessions ON DELETE CASCADE,
    superseded_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE UNIQUE INDEX refresh_tokens_one_current ON refresh_tokens (session_id) WHERE superseded_at IS NULL;

CREATE TABLE spent_logins (
    hash      BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
    forget_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX spent_logins_by_end ON spent_logins (forget_at);

CREATE TABLE hand_offs (
    code        BLOB PRIMARY KEY NOT NULL CHECK (length(code) = 32),
    account_id  BLOB NOT NULL REFERENCES accounts,
    identity_id BLOB NOT NULL REFERENCES identities ON DELETE CASCADE,
    slot        TEXT NOT NULL,
    facts       TEXT NOT NULL CHECK (json_valid(facts)),
    challenge   BLOB NOT NULL CHECK (length(challenge) = 16),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX hand_offs_by_end ON hand_offs (expires_at);
CREATE INDEX hand_offs_by_identity ON hand_offs (identity_id);

CREATE TABLE signing_keys (
    kid        TEXT PRIMARY KEY NOT NULL COLLATE BINARY,
    alg        TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('next', 'current', 'retired')),
    public_jwk TEXT NOT NULL CHECK (json_valid(public_jwk)),
    sealed     BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    retires_at INTEGER
) STRICT;

CREATE UNIQUE INDEX signing_keys_one_current ON signing_keys (alg) WHERE state = 'current';
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (alg) WHERE state = 'next';

-- No reference to accounts: what happened stays true whatever becomes of the account.
CREATE TABLE audit_events (
    id         BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    time       INTEGER NOT NULL,
    event      TEXT NOT NULL,
    account_id BLOB,
    slot       TEXT,
    outcome    TEXT NOT NULL CHECK (outcome IN ('success', 'failure')),
    reason     TEXT,
    request_id TEXT,
    ip         TEXT
) STRICT;

CREATE INDEX audit_events_by_time ON audit_events (time);
CREATE INDEX audit_events_by_account ON audit_events (account_id, time);
CREATE INDEX audit_events_by_event ON audit_events (event, time);
