CREATE TABLE `model_alias` (
	`account_id` text NOT NULL,
	`name` text NOT NULL,
	`model_id` text NOT NULL,
	`effort` text,
	`created_at_ms` integer NOT NULL,
	`created_by` text NOT NULL,
	PRIMARY KEY(`account_id`, `name`),
	FOREIGN KEY (`account_id`) REFERENCES `account`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
