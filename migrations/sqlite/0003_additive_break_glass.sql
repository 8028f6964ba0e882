-- One-time login links that operators make; docs/storage.md. At most one of an account.

CREATE TABLE break_glass (
    code       BLOB PRIMARY KEY NOT NULL CHECK (length(code) = 32),
    account_id BLOB NOT NULL UNIQUE REFERENCES accounts,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
