CREATE TABLE `payment_held` (
	`order_id` text NOT NULL,
	`kind` text NOT NULL,
	`source` text NOT NULL,
	`reason` text NOT NULL,
	`amount_cents` integer NOT NULL,
	`currency` text NOT NULL,
	`received_at_ms` integer NOT NULL,
	`closed_at_ms` integer,
	`closed_by` text,
	`note` text,
	PRIMARY KEY(`order_id`, `kind`, `source`),
	FOREIGN KEY (`order_id`) REFERENCES `payment_order`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE INDEX `payment_held_open` ON `payment_held` (`received_at_ms`) WHERE closed_at_ms IS NULL;--> statement-breakpoint
ALTER TABLE `invoice` ADD `tax_nano_usd` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `payment_order` ADD `tax_nano_usd` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `payment_order` ADD `receipt_queued_at_ms` integer;--> statement-breakpoint
-- Orders that were paid before have their e-mail already.
UPDATE `payment_order` SET `receipt_queued_at_ms` = coalesce(`paid_at_ms`, `created_at_ms`) WHERE `state` = 'paid';
