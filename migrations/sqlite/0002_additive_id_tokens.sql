-- The ID token of a login, sealed, as a hint for the provider's own logout; docs/storage.md. The twin for the other
-- database has the same columns.

ALTER TABLE sessions ADD COLUMN id_token BLOB;

ALTER TABLE hand_offs ADD COLUMN id_token BLOB;
