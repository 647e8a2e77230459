-- Schema 3: what people decide about steps that wait.

-- Who approved or rejected the step, when and why: JSON object.
ALTER TABLE steps ADD COLUMN decision TEXT;
