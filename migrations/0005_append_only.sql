-- What a bill rests on stays as it was written, whoever asks: entries, prices, and who did what.
CREATE TRIGGER ledger_entry_keeps_its_rows BEFORE UPDATE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'a ledger entry is never changed'); END;
--> statement-breakpoint
CREATE TRIGGER ledger_entry_keeps_all_rows BEFORE DELETE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'a ledger entry is never removed'); END;
--> statement-breakpoint
CREATE TRIGGER audit_keeps_its_rows BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is never changed'); END;
--> statement-breakpoint
CREATE TRIGGER audit_keeps_all_rows BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is never shortened'); END;
--> statement-breakpoint
-- only the end of a price may still be set: everything else of it stands on somebody's bill
CREATE TRIGGER price_keeps_its_rows
BEFORE UPDATE OF id, model_id, tariff, from_ms, daily_from_minute, daily_to_minute, cache_hit_nano_usd, cache_miss_nano_usd, output_nano_usd, source ON price
BEGIN SELECT RAISE(ABORT, 'a price is never changed: add a new one'); END;
--> statement-breakpoint
CREATE TRIGGER price_keeps_all_rows BEFORE DELETE ON price
BEGIN SELECT RAISE(ABORT, 'a price is never removed: charges name it'); END;
--> statement-breakpoint
-- The batch tariff: half of the standard price.
INSERT INTO price (id, model_id, tariff, from_ms, to_ms, daily_from_minute, daily_to_minute, cache_hit_nano_usd, cache_miss_nano_usd, output_nano_usd, source) VALUES
  ('deepseek-r1-0528/batch/1', 'deepseek-r1-0528', 'batch', 1737331200000, NULL, NULL, NULL, 70, 275, 1095, 'Half of the standard price'),
  ('deepseek-v3-0324/batch/1', 'deepseek-v3-0324', 'batch', 1737331200000, NULL, NULL, NULL, 35, 135, 550, 'Half of the standard price'),
  ('deepseek-r1-zero/batch/1', 'deepseek-r1-zero', 'batch', 1737331200000, NULL, NULL, NULL, 70, 275, 1095, 'Half of the standard price');
