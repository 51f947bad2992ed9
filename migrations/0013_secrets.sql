CREATE TABLE `node_edge_keys` (
	`node_id` text PRIMARY KEY NOT NULL,
	`key_ids` text NOT NULL,
	`reported_at_ms` integer NOT NULL,
	FOREIGN KEY (`node_id`) REFERENCES `node`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE TABLE `operator_token` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`hash` text NOT NULL,
	`pepper_id` text NOT NULL,
	`last_four` text NOT NULL,
	`scopes` text NOT NULL,
	`created_by` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer NOT NULL,
	`revoked_at_ms` integer,
	`last_used_at_ms` integer
) STRICT;
--> statement-breakpoint
CREATE UNIQUE INDEX `operator_token_hash_unique` ON `operator_token` (`hash`);--> statement-breakpoint
CREATE INDEX `operator_token_by_time` ON `operator_token` (`created_at_ms`);--> statement-breakpoint
CREATE TABLE `webhook_secret` (
	`endpoint_id` text NOT NULL,
	`version` integer NOT NULL,
	`sealed` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	PRIMARY KEY(`endpoint_id`, `version`)
) STRICT;
--> statement-breakpoint
ALTER TABLE `api_key` ADD `pepper_id` text;