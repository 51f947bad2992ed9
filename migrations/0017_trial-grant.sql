CREATE TABLE `trial_grant` (
	`email_hash` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`amount_nano_usd` integer NOT NULL,
	`day` integer NOT NULL
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `trial_grant_by_day` ON `trial_grant` (`day`);--> statement-breakpoint
ALTER TABLE `account` ADD `trial_decided_at_ms` integer;--> statement-breakpoint
-- Accounts until now got their trial credit when they were opened.
UPDATE `account` SET `trial_decided_at_ms` = `created_at_ms`;
