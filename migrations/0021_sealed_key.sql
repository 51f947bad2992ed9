CREATE TABLE `sealed_key` (
	`name` text PRIMARY KEY NOT NULL,
	`sealed` text NOT NULL,
	`created_at_ms` integer NOT NULL
) STRICT;
