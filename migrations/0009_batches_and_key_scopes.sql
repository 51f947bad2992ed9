CREATE TABLE `batch` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`key_id` text NOT NULL,
	`endpoint` text NOT NULL,
	`input_file_id` text NOT NULL,
	`output_file_id` text,
	`error_file_id` text,
	`state` text NOT NULL,
	`paused_by` text,
	`metadata` text,
	`errors` text,
	`total` integer DEFAULT 0 NOT NULL,
	`completed` integer DEFAULT 0 NOT NULL,
	`failed` integer DEFAULT 0 NOT NULL,
	`charge_nano_usd` integer DEFAULT 0 NOT NULL,
	`usage` text,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer NOT NULL,
	`in_progress_at_ms` integer,
	`cancelling_at_ms` integer,
	`finalizing_at_ms` integer,
	`ended_at_ms` integer,
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`key_id`) REFERENCES `api_key`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE INDEX `batch_by_account` ON `batch` (`account_id`,`created_at_ms`);--> statement-breakpoint
CREATE TABLE `file` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`name` text NOT NULL,
	`purpose` text NOT NULL,
	`bytes` integer NOT NULL,
	`parts` integer NOT NULL,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer NOT NULL,
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE INDEX `file_by_account` ON `file` (`account_id`,`created_at_ms`);--> statement-breakpoint
CREATE INDEX `file_by_expiry` ON `file` (`expires_at_ms`);--> statement-breakpoint
ALTER TABLE `api_key` ADD `scope` text DEFAULT 'inference' NOT NULL;