CREATE TABLE `auto_recharge` (
	`account_id` text PRIMARY KEY NOT NULL,
	`provider` text NOT NULL,
	`customer_ref` text,
	`method_ref` text,
	`method_label` text,
	`enabled` integer DEFAULT false NOT NULL,
	`below_nano_usd` integer DEFAULT 0 NOT NULL,
	`amount_nano_usd` integer DEFAULT 0 NOT NULL,
	`monthly_max_nano_usd` integer DEFAULT 0 NOT NULL,
	`off_reason` text,
	`updated_at_ms` integer NOT NULL,
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `drift` (
	`request_id` text NOT NULL,
	`node_id` text NOT NULL,
	`kind` text NOT NULL,
	`account_id` text NOT NULL,
	`found_at_ms` integer NOT NULL,
	`detail` text NOT NULL,
	`resolved_at_ms` integer,
	PRIMARY KEY(`request_id`, `node_id`, `kind`)
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `drift_by_time` ON `drift` (`found_at_ms`);--> statement-breakpoint
CREATE INDEX `drift_open` ON `drift` (`found_at_ms`) WHERE resolved_at_ms IS NULL;--> statement-breakpoint
CREATE TABLE `notice` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`at_ms` integer NOT NULL,
	`kind` text NOT NULL,
	`facts` text NOT NULL
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `notice_by_account` ON `notice` (`account_id`,`at_ms`);--> statement-breakpoint
CREATE TABLE `notice_delivery` (
	`id` text PRIMARY KEY NOT NULL,
	`notice_id` text NOT NULL,
	`account_id` text NOT NULL,
	`channel` text NOT NULL,
	`target` text NOT NULL,
	`state` text DEFAULT 'waiting' NOT NULL,
	`attempts` integer DEFAULT 0 NOT NULL,
	`last_at_ms` integer,
	`last_status` integer,
	`last_fault` text,
	`next_at_ms` integer,
	FOREIGN KEY (`notice_id`) REFERENCES `notice`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE UNIQUE INDEX `notice_delivery_once` ON `notice_delivery` (`notice_id`,`channel`,`target`);--> statement-breakpoint
CREATE INDEX `notice_delivery_by_account` ON `notice_delivery` (`account_id`,`id`);--> statement-breakpoint
CREATE TABLE `notice_setting` (
	`account_id` text PRIMARY KEY NOT NULL,
	`low_balance_nano_usd` integer,
	`cap_percents` text NOT NULL,
	`by_email` integer NOT NULL,
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `promo_code` (
	`code` text PRIMARY KEY NOT NULL,
	`amount_nano_usd` integer NOT NULL,
	`redemptions_max` integer NOT NULL,
	`expires_at_ms` integer,
	`created_at_ms` integer NOT NULL,
	`created_by` text NOT NULL
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `promo_redemption` (
	`code` text NOT NULL,
	`account_id` text NOT NULL,
	`redeemed_at_ms` integer NOT NULL,
	PRIMARY KEY(`code`, `account_id`),
	FOREIGN KEY (`code`) REFERENCES `promo_code`(`code`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `webhook_endpoint` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`url` text NOT NULL,
	`secret_version` integer DEFAULT 1 NOT NULL,
	`created_at_ms` integer NOT NULL,
	`removed_at_ms` integer,
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `webhook_endpoint_by_account` ON `webhook_endpoint` (`account_id`);--> statement-breakpoint
ALTER TABLE `account` ADD `requests_per_minute` integer DEFAULT 6000 NOT NULL;--> statement-breakpoint
ALTER TABLE `account` ADD `tokens_per_minute` integer;--> statement-breakpoint
ALTER TABLE `account` ADD `concurrency` integer DEFAULT 1000 NOT NULL;--> statement-breakpoint
ALTER TABLE `account` ADD `cap_nano_usd` integer;--> statement-breakpoint
ALTER TABLE `account` ADD `cap_period` text DEFAULT 'month' NOT NULL;--> statement-breakpoint
ALTER TABLE `api_key` ADD `tokens_per_minute` integer;--> statement-breakpoint
ALTER TABLE `payment_order` ADD `kind` text DEFAULT 'checkout' NOT NULL;--> statement-breakpoint
ALTER TABLE `payment_order` ADD `invoice_url` text;--> statement-breakpoint
CREATE UNIQUE INDEX `payment_order_recharge_open` ON `payment_order` (`account_id`) WHERE kind = 'recharge' AND state = 'open';--> statement-breakpoint
ALTER TABLE `price` ADD `tariff` text DEFAULT 'standard' NOT NULL;