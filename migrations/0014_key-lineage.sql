ALTER TABLE `api_key` ADD `created_by` text;--> statement-breakpoint
ALTER TABLE `api_key` ADD `kept_by` text;--> statement-breakpoint
ALTER TABLE `api_key` ADD `lineage_id` text;--> statement-breakpoint
ALTER TABLE `api_key` ADD `successor_id` text;--> statement-breakpoint
ALTER TABLE `api_key` ADD `manager_id` text;--> statement-breakpoint
ALTER TABLE `webhook_endpoint` ADD `created_by` text;--> statement-breakpoint
ALTER TABLE `webhook_endpoint` ADD `kept_by` text;--> statement-breakpoint
UPDATE `api_key` SET `created_by` = (SELECT `actor` FROM `audit` WHERE `subject` = `api_key`.`id` AND `action` = 'key.created' LIMIT 1);--> statement-breakpoint
UPDATE `api_key` SET `manager_id` = `created_by` WHERE `created_by` LIKE 'key_%';--> statement-breakpoint
UPDATE `api_key` SET `successor_id` = (SELECT json_extract(`detail`, '$.what') FROM `audit` WHERE `subject` = `api_key`.`id` AND `action` = 'key.rotated' ORDER BY `at_ms` DESC LIMIT 1);
