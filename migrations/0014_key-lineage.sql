ALTER TABLE `api_key` ADD `created_by` text;--> statement-breakpoint
ALTER TABLE `api_key` ADD `kept_by` text;--> statement-breakpoint
ALTER TABLE `api_key` ADD `lineage_id` text;--> statement-breakpoint
ALTER TABLE `api_key` ADD `successor_id` text;--> statement-breakpoint
ALTER TABLE `api_key` ADD `manager_id` text;--> statement-breakpoint
ALTER TABLE `webhook_endpoint` ADD `created_by` text;--> statement-breakpoint
ALTER TABLE `webhook_endpoint` ADD `kept_by` text;