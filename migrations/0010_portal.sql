CREATE TABLE `invitation` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`email` text NOT NULL,
	`role` text NOT NULL,
	`token_hash` text NOT NULL,
	`invited_by` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer NOT NULL,
	`accepted_at_ms` integer,
	`revoked_at_ms` integer,
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`invited_by`) REFERENCES `person`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE UNIQUE INDEX `invitation_token_hash_unique` ON `invitation` (`token_hash`);--> statement-breakpoint
CREATE INDEX `invitation_by_account` ON `invitation` (`account_id`,`created_at_ms`);--> statement-breakpoint
CREATE TABLE `reference_price` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`from_ms` integer NOT NULL,
	`to_ms` integer,
	`cache_hit_nano_usd` integer NOT NULL,
	`cache_miss_nano_usd` integer NOT NULL,
	`output_nano_usd` integer NOT NULL,
	`source` text NOT NULL
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `billing_details` (
	`account_id` text PRIMARY KEY NOT NULL,
	`legal_name` text NOT NULL,
	`address` text NOT NULL,
	`country` text NOT NULL,
	`tax_id` text,
	`updated_at_ms` integer NOT NULL,
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `invoice` (
	`number` integer PRIMARY KEY NOT NULL,
	`order_id` text NOT NULL,
	`account_id` text NOT NULL,
	`issued_at_ms` integer NOT NULL,
	`amount_nano_usd` integer NOT NULL,
	`buyer` text,
	`purchase_order` text,
	FOREIGN KEY (`order_id`) REFERENCES `payment_order`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE UNIQUE INDEX `invoice_order_id_unique` ON `invoice` (`order_id`);--> statement-breakpoint
CREATE INDEX `invoice_by_account` ON `invoice` (`account_id`,`issued_at_ms`);--> statement-breakpoint
CREATE TABLE `person_two_factor` (
	`id` text PRIMARY KEY NOT NULL,
	`secret` text NOT NULL,
	`backup_codes` text NOT NULL,
	`person_id` text NOT NULL,
	`verified` integer DEFAULT true NOT NULL,
	`failed_verification_count` integer DEFAULT 0 NOT NULL,
	`locked_until` integer,
	FOREIGN KEY (`person_id`) REFERENCES `person`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `person_two_factor_by_person` ON `person_two_factor` (`person_id`);--> statement-breakpoint
CREATE TABLE `node_cost` (
	`node_id` text NOT NULL,
	`from_ms` integer NOT NULL,
	`hour_nano_usd` integer NOT NULL,
	PRIMARY KEY(`node_id`, `from_ms`),
	FOREIGN KEY (`node_id`) REFERENCES `node`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `probe` (
	`component` text NOT NULL,
	`at_ms` integer NOT NULL,
	`ok` integer NOT NULL,
	`latency_ms` integer NOT NULL,
	`fault` text,
	PRIMARY KEY(`component`, `at_ms`)
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `probe_day` (
	`component` text NOT NULL,
	`day_ms` integer NOT NULL,
	`probes` integer NOT NULL,
	`failures` integer NOT NULL,
	PRIMARY KEY(`component`, `day_ms`)
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `node_hour` (
	`node_id` text NOT NULL,
	`hour_ms` integer NOT NULL,
	`requests` integer NOT NULL,
	`prompt_tokens` integer NOT NULL,
	`cached_tokens` integer NOT NULL,
	`completion_tokens` integer NOT NULL,
	`charge_nano_usd` integer NOT NULL,
	`granted_nano_usd` integer NOT NULL,
	PRIMARY KEY(`node_id`, `hour_ms`)
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `node_hour_by_hour` ON `node_hour` (`hour_ms`);--> statement-breakpoint
ALTER TABLE `account` ADD `suspended_at_ms` integer;--> statement-breakpoint
ALTER TABLE `account` ADD `closed_at_ms` integer;--> statement-breakpoint
ALTER TABLE `payment_order` ADD `purchase_order` text;--> statement-breakpoint
ALTER TABLE `person` ADD `locale` text;--> statement-breakpoint
ALTER TABLE `person` ADD `two_factor_enabled` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `audit` ADD `account_id` text;--> statement-breakpoint
CREATE INDEX `audit_by_account` ON `audit` (`account_id`,`at_ms`);--> statement-breakpoint
ALTER TABLE `usage_event` ADD `granted_nano_usd` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
INSERT INTO `reference_price` VALUES ('openai-o1-2024-12-17', 'OpenAI o1', 1734393600000, 1792713600000, 7500, 15000, 60000,
  'OpenAI''s list price: $7.50 cached input, $15.00 input, $60.00 output a million tokens; withdrawn 2026-10-23');--> statement-breakpoint
UPDATE `usage_event` SET `granted_nano_usd` = -coalesce((SELECT e.`granted_nano_usd` FROM `ledger_entry` AS e
  WHERE e.`account_id` = `usage_event`.`account_id` AND e.`seq` = `usage_event`.`entry_seq`), 0);--> statement-breakpoint
INSERT INTO `node_hour` SELECT `node_id`, `admitted_at_ms` - `admitted_at_ms` % 3600000, count(*), sum(`prompt_tokens`),
  sum(`cached_tokens`), sum(`completion_tokens`), sum(`charge_nano_usd`), sum(`granted_nano_usd`)
  FROM `usage_event` WHERE `node_id` IS NOT NULL GROUP BY 1, 2;
