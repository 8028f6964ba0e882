-- Times are Unix seconds. Text is compared byte by byte.
-- docs/storage.md explains the tables; the twin for SQLite has the same ones.

CREATE TABLE accounts (
    id             UUID PRIMARY KEY,
    name           TEXT COLLATE "C" NOT NULL UNIQUE CHECK (name <> ''),
    label          TEXT NOT NULL,
    email          TEXT,
    email_verified BOOLEAN,
    status         TEXT NOT NULL CHECK (status IN ('active', 'disabled', 'deleted')),
    ever_linked_at BIGINT,
    created_at     BIGINT NOT NULL,
    last_login_at  BIGINT
);

CREATE INDEX accounts_adoptable ON accounts (id) WHERE ever_linked_at IS NULL;

CREATE FUNCTION accounts_keep_their_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.name <> OLD.name THEN
        RAISE EXCEPTION 'the name of an account never changes';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER accounts_keep_their_name BEFORE UPDATE OF name ON accounts
FOR EACH ROW EXECUTE FUNCTION accounts_keep_their_name();

CREATE FUNCTION accounts_stay_linked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ever_linked_at IS NOT NULL AND NEW.ever_linked_at IS DISTINCT FROM OLD.ever_linked_at THEN
        RAISE EXCEPTION 'the mark of a linked account is never cleared';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER accounts_stay_linked BEFORE UPDATE OF ever_linked_at ON accounts
FOR EACH ROW EXECUTE FUNCTION accounts_stay_linked();

-- What an operator granted. U+001F separates the names when they are read.
CREATE TABLE account_roles (
    account_id UUID NOT NULL REFERENCES accounts,
    role       TEXT COLLATE "C" NOT NULL CHECK (role <> '' AND strpos(role, chr(31)) = 0),
    PRIMARY KEY (account_id, role)
);

CREATE INDEX account_roles_by_role ON account_roles (role, account_id);

CREATE TABLE account_groups (
    account_id UUID NOT NULL REFERENCES accounts,
    group_name TEXT COLLATE "C" NOT NULL CHECK (group_name <> '' AND strpos(group_name, chr(31)) = 0),
    PRIMARY KEY (account_id, group_name)
);

CREATE TABLE identities (
    id            UUID PRIMARY KEY,
    account_id    UUID NOT NULL REFERENCES accounts,
    protocol      TEXT NOT NULL CHECK (protocol IN ('oidc', 'oauth2')),
    issuer        TEXT COLLATE "C" NOT NULL,
    subject       TEXT COLLATE "C" NOT NULL CHECK (subject <> ''),
    slot          TEXT NOT NULL,
    client_id     TEXT NOT NULL,
    email         TEXT,
    linked_at     BIGINT NOT NULL,
    last_login_at BIGINT NOT NULL,
    UNIQUE (protocol, issuer, subject)
);

CREATE INDEX identities_by_account ON identities (account_id, linked_at);

CREATE FUNCTION identities_need_a_mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT ever_linked_at FROM accounts WHERE id = NEW.account_id) IS NULL THEN
        RAISE EXCEPTION 'an account with an identity is marked as linked';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER identities_need_a_mark BEFORE INSERT OR UPDATE OF account_id ON identities
FOR EACH ROW EXECUTE FUNCTION identities_need_a_mark();

CREATE TABLE sessions (
    id           UUID PRIMARY KEY,
    account_id   UUID NOT NULL REFERENCES accounts,
    identity_id  UUID REFERENCES identities ON DELETE SET NULL,
    slot         TEXT NOT NULL,
    issuer       TEXT COLLATE "C" NOT NULL,
    idp_sid      TEXT COLLATE "C",
    facts        TEXT NOT NULL CHECK (facts::json IS NOT NULL),
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT,
    ip           TEXT,
    user_agent   TEXT
);

CREATE INDEX sessions_by_account ON sessions (account_id);
CREATE INDEX sessions_by_identity ON sessions (identity_id);
CREATE INDEX sessions_by_idp_sid ON sessions (issuer, idp_sid) WHERE idp_sid IS NOT NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_revocation ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE refresh_tokens (
    hash          BYTEA PRIMARY KEY CHECK (octet_length(hash) = 32),
    session_id    UUID NOT NULL REFERENCES sessions ON DELETE CASCADE,
    superseded_at BIGINT
);

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE UNIQUE INDEX refresh_tokens_one_current ON refresh_tokens (session_id) WHERE superseded_at IS NULL;

CREATE TABLE spent_logins (
    hash      BYTEA PRIMARY KEY CHECK (octet_length(hash) = 32),
    forget_at BIGINT NOT NULL
);

CREATE INDEX spent_logins_by_end ON spent_logins (forget_at);

CREATE TABLE hand_offs (
    code        BYTEA PRIMARY KEY CHECK (octet_length(code) = 32),
    account_id  UUID NOT NULL REFERENCES accounts,
    identity_id UUID NOT NULL REFERENCES identities ON DELETE CASCADE,
    slot        TEXT NOT NULL,
    facts       TEXT NOT NULL CHECK (facts::json IS NOT NULL),
    challenge   BYTEA NOT NULL CHECK (octet_length(challenge) = 16),
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);

CREATE INDEX hand_offs_by_end ON hand_offs (expires_at);
CREATE INDEX hand_offs_by_identity ON hand_offs (identity_id);

CREATE TABLE signing_keys (
    kid        TEXT COLLATE "C" PRIMARY KEY,
    alg        TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('next', 'current', 'retired')),
    public_jwk TEXT NOT NULL CHECK (public_jwk::json IS NOT NULL),
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    retires_at BIGINT
);

CREATE UNIQUE INDEX signing_keys_one_current ON signing_keys (alg) WHERE state = 'current';
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (alg) WHERE state = 'next';

-- No reference to accounts: what happened stays true whatever becomes of the account.
CREATE TABLE audit_events (
    id         UUID PRIMARY KEY,
    time       BIGINT NOT NULL,
    event      TEXT NOT NULL,
    account_id UUID,
    slot       TEXT,
    outcome    TEXT NOT NULL CHECK (outcome IN ('success', 'failure')),
    reason     TEXT,
    request_id TEXT,
    ip         TEXT
);

CREATE INDEX audit_events_by_time ON audit_events (time);
CREATE INDEX audit_events_by_account ON audit_events (account_id, time);
CREATE INDEX audit_events_by_event ON audit_events (event, time);
