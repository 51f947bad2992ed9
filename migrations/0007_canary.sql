CREATE TABLE `canary` (
	`request_id` text PRIMARY KEY NOT NULL,
	`node_id` text NOT NULL,
	`at_ms` integer NOT NULL,
	`usage` text,
	`fault` text,
	`passed_at_ms` integer,
	FOREIGN KEY (`node_id`) REFERENCES `node`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE INDEX `canary_by_node` ON `canary` (`node_id`,`at_ms`);