CREATE TABLE `model_end_run` (
	`model_id` text NOT NULL,
	`ends_at_ms` integer NOT NULL,
	`stage` text NOT NULL,
	`after_account_id` text NOT NULL,
	`done` integer NOT NULL,
	PRIMARY KEY(`model_id`, `ends_at_ms`, `stage`),
	FOREIGN KEY (`model_id`) REFERENCES `model`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
