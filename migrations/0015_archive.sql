CREATE TABLE `archive_part` (
	`account_id` text NOT NULL,
	`kind` text NOT NULL,
	`seq` integer NOT NULL,
	`month` text NOT NULL,
	`first_key` text NOT NULL,
	`last_key` text NOT NULL,
	`rows` integer NOT NULL,
	`sum_nano_usd` integer NOT NULL,
	`opening_balance_nano_usd` integer,
	`hash` text NOT NULL,
	`object_key` text NOT NULL,
	`bytes` integer NOT NULL,
	`archived_at_ms` integer NOT NULL,
	PRIMARY KEY(`account_id`, `kind`, `seq`)
) STRICT;
--> statement-breakpoint
CREATE INDEX `archive_part_by_key` ON `archive_part` (`account_id`,`kind`,`last_key`);--> statement-breakpoint
CREATE TABLE `archive_run` (
	`id` integer PRIMARY KEY NOT NULL,
	`token` text,
	`claimed_until_ms` integer DEFAULT 0 NOT NULL,
	`rest_until_ms` integer DEFAULT 0 NOT NULL,
	`after_account_id` text DEFAULT '' NOT NULL,
	`writing_key` text,
	`passed_at_ms` integer,
	`kept_from_ms` integer,
	`failures` integer DEFAULT 0 NOT NULL,
	`passed_failures` integer DEFAULT 0 NOT NULL,
	`failed_at_ms` integer,
	`failed_account_id` text,
	`failure` text
) STRICT;
--> statement-breakpoint
DROP INDEX `ledger_entry_by_reference`;--> statement-breakpoint
CREATE UNIQUE INDEX `ledger_entry_by_reference` ON `ledger_entry` (`account_id`,`kind`,`reference`) WHERE kind <> 'charge';--> statement-breakpoint
INSERT INTO `archive_run` (`id`) VALUES (1);--> statement-breakpoint
CREATE TRIGGER archive_part_keeps_its_rows BEFORE UPDATE ON archive_part
BEGIN SELECT RAISE(ABORT, 'a part of the archive is never changed'); END;
--> statement-breakpoint
CREATE TRIGGER archive_part_keeps_all_rows BEFORE DELETE ON archive_part
BEGIN SELECT RAISE(ABORT, 'a part of the archive is never removed'); END;
--> statement-breakpoint
-- A charge leaves D1 once a part of the archive has it; no other entry ever does.
DROP TRIGGER ledger_entry_keeps_all_rows;
--> statement-breakpoint
CREATE TRIGGER ledger_entry_keeps_all_rows BEFORE DELETE ON ledger_entry
WHEN OLD.kind <> 'charge' OR NOT EXISTS (SELECT 1 FROM archive_part AS p WHERE p.account_id = OLD.account_id AND p.kind = 'ledger'
  AND p.last_key >= printf('%016d', OLD.seq) AND p.first_key <= printf('%016d', OLD.seq))
BEGIN SELECT RAISE(ABORT, 'a ledger entry is never removed that the archive does not have'); END;
--> statement-breakpoint
CREATE TRIGGER usage_event_keeps_all_rows BEFORE DELETE ON usage_event
WHEN NOT EXISTS (SELECT 1 FROM archive_part AS p WHERE p.account_id = OLD.account_id AND p.kind = 'requests'
  AND p.last_key >= OLD.request_id AND p.first_key <= OLD.request_id)
BEGIN SELECT RAISE(ABORT, 'a request is never removed that the archive does not have'); END;
