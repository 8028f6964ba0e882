-- One-time login links that operators make; docs/storage.md. At most one of an account.

CREATE TABLE break_glass (
    code       bytea PRIMARY KEY CHECK (length(code) = 32),
    account_id uuid NOT NULL UNIQUE REFERENCES accounts,
    expires_at bigint NOT NULL
);
