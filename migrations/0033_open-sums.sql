ALTER TABLE `projection` ADD `open_sums` text;--> statement-breakpoint
ALTER TABLE `projection` ADD `open_since_ms` integer;--> statement-breakpoint
ALTER TABLE `projection` ADD `closed` integer DEFAULT 0 NOT NULL;