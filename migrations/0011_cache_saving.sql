ALTER TABLE `usage_hour` ADD `cache_saving_nano_usd` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
UPDATE `usage_hour` SET `cache_saving_nano_usd` = coalesce((
  SELECT sum(e.`cached_tokens` * (p.`cache_miss_nano_usd` - p.`cache_hit_nano_usd`))
  FROM `usage_event` AS e JOIN `price` AS p ON p.`id` = e.`price_id`
  WHERE e.`account_id` = `usage_hour`.`account_id` AND e.`key_id` = `usage_hour`.`key_id`
    AND e.`model_id` = `usage_hour`.`model_id`
    AND e.`admitted_at_ms` >= `usage_hour`.`hour_ms` AND e.`admitted_at_ms` < `usage_hour`.`hour_ms` + 3600000), 0);
