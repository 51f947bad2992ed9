CREATE TABLE `projection` (
	`account_id` text PRIMARY KEY NOT NULL,
	`told_seq` integer NOT NULL,
	`billed_requests` integer NOT NULL,
	`witnessed_requests` integer NOT NULL,
	`missed_requests` integer NOT NULL
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
INSERT INTO `projection` (`account_id`, `told_seq`, `billed_requests`, `witnessed_requests`, `missed_requests`)
SELECT `account_id`, 0, count(*), sum(`has_receipt`), sum(`is_missed` AND NOT `has_receipt`)
FROM (
  SELECT u.`account_id`,
    EXISTS (SELECT 1 FROM `node_receipt` AS r WHERE r.`request_id` = u.`request_id` AND r.`node_id` = u.`node_id`) AS `has_receipt`,
    EXISTS (SELECT 1 FROM `drift` AS d WHERE d.`request_id` = u.`request_id` AND d.`node_id` = u.`node_id`
      AND d.`kind` = 'receipt_missing') AS `is_missed`
  FROM `usage_event` AS u WHERE u.`charge_nano_usd` > 0 AND u.`node_id` IS NOT NULL
)
GROUP BY `account_id`;--> statement-breakpoint
ALTER TABLE `receipt_hour` ADD `newest_received_at_ms` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `receipt_hour` ADD `newest_ended_at_ms` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
UPDATE `receipt_hour` SET (`newest_received_at_ms`, `newest_ended_at_ms`) = (
  SELECT coalesce(max(r.`received_at_ms`), 0), coalesce(max(u.`ended_at_ms`), 0)
  FROM `node_receipt` AS r LEFT JOIN `usage_event` AS u ON u.`request_id` = r.`request_id`
  WHERE r.`node_id` = `receipt_hour`.`node_id`
    AND r.`received_at_ms` >= `receipt_hour`.`hour_ms` AND r.`received_at_ms` < `receipt_hour`.`hour_ms` + 3600000
    AND coalesce(r.`write_off_reason`, '') = `receipt_hour`.`reason`);--> statement-breakpoint
DROP INDEX `node_receipt_by_node`;--> statement-breakpoint
CREATE TABLE `__new_usage_event` (
	`account_id` text NOT NULL,
	`request_id` text NOT NULL,
	`key_id` text NOT NULL,
	`model_id` text NOT NULL,
	`node_id` text,
	`admitted_at_ms` integer NOT NULL,
	`ended_at_ms` integer NOT NULL,
	`state` text NOT NULL,
	`ending` text NOT NULL,
	`stream` integer NOT NULL,
	`prompt_tokens` integer NOT NULL,
	`cached_tokens` integer NOT NULL,
	`completion_tokens` integer NOT NULL,
	`reasoning_tokens` integer NOT NULL,
	`price_id` text NOT NULL,
	`charge_nano_usd` integer NOT NULL,
	`granted_nano_usd` integer DEFAULT 0 NOT NULL,
	`entry_seq` integer,
	`ttft_ms` integer,
	PRIMARY KEY(`account_id`, `request_id`)
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
INSERT INTO `__new_usage_event` (`account_id`, `request_id`, `key_id`, `model_id`, `node_id`, `admitted_at_ms`, `ended_at_ms`, `state`, `ending`, `stream`, `prompt_tokens`, `cached_tokens`, `completion_tokens`, `reasoning_tokens`, `price_id`, `charge_nano_usd`, `granted_nano_usd`, `entry_seq`, `ttft_ms`)
SELECT `account_id`, `request_id`, `key_id`, `model_id`, `node_id`, `admitted_at_ms`, `ended_at_ms`, `state`, `ending`, `stream`, `prompt_tokens`, `cached_tokens`, `completion_tokens`, `reasoning_tokens`, `price_id`, `charge_nano_usd`, `granted_nano_usd`, `entry_seq`, `ttft_ms`
FROM `usage_event`;--> statement-breakpoint
DROP TABLE `usage_event`;-- because a primary key cannot be changed: the rows are in `__new_usage_event`, and no table refers to them
--> statement-breakpoint
ALTER TABLE `__new_usage_event` RENAME TO `usage_event`;
