CREATE TABLE `payment_correction` (
	`order_id` text NOT NULL,
	`seq` integer NOT NULL,
	`amount_nano_usd` integer NOT NULL,
	`uncollected_nano_usd` integer,
	`created_at_ms` integer NOT NULL,
	PRIMARY KEY(`order_id`, `seq`),
	FOREIGN KEY (`order_id`) REFERENCES `payment_order`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `payment_reversal` (
	`order_id` text NOT NULL,
	`source` text NOT NULL,
	`amount_nano_usd` integer NOT NULL,
	`returned` integer NOT NULL,
	`updated_at_ms` integer NOT NULL,
	PRIMARY KEY(`order_id`, `source`),
	FOREIGN KEY (`order_id`) REFERENCES `payment_order`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
