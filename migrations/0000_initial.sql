CREATE TABLE `account` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`created_at_ms` integer NOT NULL
) STRICT;
--> statement-breakpoint
CREATE TABLE `api_key` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`name` text NOT NULL,
	`hash` text NOT NULL,
	`last_four` text NOT NULL,
	`models` text,
	`cap_nano_usd` integer,
	`cap_period` text DEFAULT 'month' NOT NULL,
	`requests_per_minute` integer DEFAULT 600 NOT NULL,
	`concurrency` integer DEFAULT 100 NOT NULL,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer,
	`revoked_at_ms` integer,
	`last_used_at_ms` integer,
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE UNIQUE INDEX `api_key_hash_unique` ON `api_key` (`hash`);--> statement-breakpoint
CREATE INDEX `api_key_by_account` ON `api_key` (`account_id`,`created_at_ms`);--> statement-breakpoint
CREATE TABLE `audit` (
	`id` text PRIMARY KEY NOT NULL,
	`at_ms` integer NOT NULL,
	`actor` text NOT NULL,
	`action` text NOT NULL,
	`subject` text NOT NULL,
	`detail` text NOT NULL
) STRICT;
--> statement-breakpoint
CREATE INDEX `audit_by_subject` ON `audit` (`subject`,`at_ms`);--> statement-breakpoint
CREATE INDEX `audit_by_time` ON `audit` (`at_ms`);--> statement-breakpoint
CREATE TABLE `join_token` (
	`id` text PRIMARY KEY NOT NULL,
	`node_name` text NOT NULL,
	`model_id` text NOT NULL,
	`hardware` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer NOT NULL,
	`used_at_ms` integer,
	FOREIGN KEY (`model_id`) REFERENCES `model`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE TABLE `ledger_entry` (
	`account_id` text NOT NULL,
	`seq` integer NOT NULL,
	`at_ms` integer NOT NULL,
	`kind` text NOT NULL,
	`granted_nano_usd` integer NOT NULL,
	`paid_nano_usd` integer NOT NULL,
	`balance_nano_usd` integer NOT NULL,
	`reference` text NOT NULL,
	`hash` text NOT NULL,
	PRIMARY KEY(`account_id`, `seq`)
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE UNIQUE INDEX `ledger_entry_by_reference` ON `ledger_entry` (`account_id`,`kind`,`reference`);--> statement-breakpoint
CREATE TABLE `member` (
	`account_id` text NOT NULL,
	`person_id` text NOT NULL,
	`role` text NOT NULL,
	PRIMARY KEY(`account_id`, `person_id`),
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`person_id`) REFERENCES `person`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `member_by_person` ON `member` (`person_id`);--> statement-breakpoint
CREATE TABLE `model` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`aliases` text NOT NULL,
	`model_paths` text NOT NULL,
	`revision` text NOT NULL,
	`license` text NOT NULL,
	`reasoning` integer NOT NULL,
	`context_tokens` integer NOT NULL,
	`output_tokens_max` integer NOT NULL,
	`output_tokens_default` integer NOT NULL
) STRICT;
--> statement-breakpoint
CREATE TABLE `node` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`model_id` text NOT NULL,
	`hardware` text NOT NULL,
	`url` text NOT NULL,
	`public_key` text NOT NULL,
	`capacity` integer NOT NULL,
	`engine_version` text NOT NULL,
	`weight_version` text NOT NULL,
	`state` text DEFAULT 'active' NOT NULL,
	`enrolled_at_ms` integer NOT NULL,
	FOREIGN KEY (`model_id`) REFERENCES `model`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE TABLE `node_receipt` (
	`request_id` text NOT NULL,
	`node_id` text NOT NULL,
	`account_id` text NOT NULL,
	`received_at_ms` integer NOT NULL,
	`outcome` text NOT NULL,
	`prompt_tokens` integer NOT NULL,
	`cached_tokens` integer NOT NULL,
	`completion_tokens` integer NOT NULL,
	`reasoning_tokens` integer NOT NULL,
	`written_off_prompt_tokens` integer NOT NULL,
	`written_off_completion_tokens` integer NOT NULL,
	`write_off_reason` text,
	PRIMARY KEY(`request_id`, `node_id`)
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `node_receipt_by_node` ON `node_receipt` (`node_id`,`received_at_ms`);--> statement-breakpoint
CREATE TABLE `payment_event` (
	`provider` text NOT NULL,
	`event_id` text NOT NULL,
	`order_id` text NOT NULL,
	`received_at_ms` integer NOT NULL,
	PRIMARY KEY(`provider`, `event_id`)
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `payment_order` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`provider` text NOT NULL,
	`amount_nano_usd` integer NOT NULL,
	`currency` text NOT NULL,
	`state` text DEFAULT 'open' NOT NULL,
	`created_at_ms` integer NOT NULL,
	`paid_at_ms` integer,
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE INDEX `payment_order_by_account` ON `payment_order` (`account_id`,`created_at_ms`);--> statement-breakpoint
CREATE TABLE `person` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`email` text NOT NULL,
	`email_verified` integer DEFAULT false NOT NULL,
	`image` text,
	`role` text DEFAULT 'customer' NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
) STRICT;
--> statement-breakpoint
CREATE UNIQUE INDEX `person_email_unique` ON `person` (`email`);--> statement-breakpoint
CREATE TABLE `person_credential` (
	`id` text PRIMARY KEY NOT NULL,
	`subject` text NOT NULL,
	`provider` text NOT NULL,
	`person_id` text NOT NULL,
	`access_token` text,
	`refresh_token` text,
	`id_token` text,
	`access_token_expires_at` integer,
	`refresh_token_expires_at` integer,
	`scope` text,
	`password` text,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	FOREIGN KEY (`person_id`) REFERENCES `person`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE INDEX `person_credential_by_person` ON `person_credential` (`person_id`);--> statement-breakpoint
CREATE TABLE `person_session` (
	`id` text PRIMARY KEY NOT NULL,
	`token` text NOT NULL,
	`person_id` text NOT NULL,
	`ip_address` text,
	`user_agent` text,
	`expires_at` integer NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	FOREIGN KEY (`person_id`) REFERENCES `person`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE UNIQUE INDEX `person_session_token_unique` ON `person_session` (`token`);--> statement-breakpoint
CREATE INDEX `person_session_by_person` ON `person_session` (`person_id`);--> statement-breakpoint
CREATE TABLE `person_verification` (
	`id` text PRIMARY KEY NOT NULL,
	`identifier` text NOT NULL,
	`value` text NOT NULL,
	`expires_at` integer NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
) STRICT;
--> statement-breakpoint
CREATE TABLE `price` (
	`id` text PRIMARY KEY NOT NULL,
	`model_id` text NOT NULL,
	`from_ms` integer NOT NULL,
	`to_ms` integer,
	`daily_from_minute` integer,
	`daily_to_minute` integer,
	`cache_hit_nano_usd` integer NOT NULL,
	`cache_miss_nano_usd` integer NOT NULL,
	`output_nano_usd` integer NOT NULL,
	`source` text NOT NULL,
	FOREIGN KEY (`model_id`) REFERENCES `model`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE INDEX `price_by_model` ON `price` (`model_id`,`from_ms`);--> statement-breakpoint
CREATE TABLE `usage_event` (
	`request_id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`key_id` text NOT NULL,
	`model_id` text NOT NULL,
	`node_id` text,
	`admitted_at_ms` integer NOT NULL,
	`ended_at_ms` integer NOT NULL,
	`state` text NOT NULL,
	`ending` text NOT NULL,
	`stream` integer NOT NULL,
	`prompt_tokens` integer NOT NULL,
	`cached_tokens` integer NOT NULL,
	`completion_tokens` integer NOT NULL,
	`reasoning_tokens` integer NOT NULL,
	`price_id` text NOT NULL,
	`charge_nano_usd` integer NOT NULL,
	`entry_seq` integer,
	`ttft_ms` integer
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `usage_event_by_account` ON `usage_event` (`account_id`,`admitted_at_ms`);--> statement-breakpoint
CREATE TABLE `usage_hour` (
	`account_id` text NOT NULL,
	`hour_ms` integer NOT NULL,
	`key_id` text NOT NULL,
	`model_id` text NOT NULL,
	`requests` integer NOT NULL,
	`cached_tokens` integer NOT NULL,
	`uncached_tokens` integer NOT NULL,
	`reasoning_tokens` integer NOT NULL,
	`answer_tokens` integer NOT NULL,
	`charge_nano_usd` integer NOT NULL,
	PRIMARY KEY(`account_id`, `hour_ms`, `key_id`, `model_id`)
) STRICT, WITHOUT ROWID;
