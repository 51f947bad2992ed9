-- A batch line costs at most half of what the same request costs at any time of its day, off-peak hours included. Where a
-- batch price in force is above that, another one that is not takes over now; half a nano-USD is rounded down.
INSERT INTO price (id, model_id, tariff, from_ms, to_ms, daily_from_minute, daily_to_minute, cache_hit_nano_usd, cache_miss_nano_usd, output_nano_usd, source)
SELECT
  batch.model_id || '/batch/' || (1 + (
    SELECT count(*) FROM price AS each WHERE each.model_id = batch.model_id AND each.tariff = 'batch'
  )),
  batch.model_id, 'batch', unixepoch() * 1000, batch.to_ms, NULL, NULL,
  min(batch.cache_hit_nano_usd, lowest.cache_hit / 2),
  min(batch.cache_miss_nano_usd, lowest.cache_miss / 2),
  min(batch.output_nano_usd, lowest.output / 2),
  'Half of the lowest price of the day'
FROM price AS batch
JOIN (
  SELECT model_id, min(cache_hit_nano_usd) AS cache_hit, min(cache_miss_nano_usd) AS cache_miss, min(output_nano_usd) AS output
  FROM price AS standard
  WHERE tariff = 'standard' AND (to_ms IS NULL OR to_ms > unixepoch() * 1000 - 86400000)
    AND NOT EXISTS (
      SELECT 1 FROM price AS later
      WHERE later.model_id = standard.model_id AND later.tariff = 'standard' AND later.to_ms IS NULL
        AND later.daily_from_minute IS standard.daily_from_minute AND later.daily_to_minute IS standard.daily_to_minute
        AND later.from_ms > standard.from_ms AND later.from_ms <= unixepoch() * 1000 - 86400000
    )
  GROUP BY model_id
) AS lowest ON lowest.model_id = batch.model_id
WHERE batch.tariff = 'batch' AND batch.from_ms <= unixepoch() * 1000
  AND (batch.to_ms IS NULL OR batch.to_ms > unixepoch() * 1000)
  AND NOT EXISTS (
    SELECT 1 FROM price AS later
    WHERE later.model_id = batch.model_id AND later.tariff = 'batch' AND later.from_ms > batch.from_ms
      AND later.from_ms <= unixepoch() * 1000 AND (later.to_ms IS NULL OR later.to_ms > unixepoch() * 1000)
  )
  -- Half of a nano-USD is no price.
  AND lowest.output >= 2
  AND (batch.cache_hit_nano_usd > lowest.cache_hit / 2 OR batch.cache_miss_nano_usd > lowest.cache_miss / 2
    OR batch.output_nano_usd > lowest.output / 2);
--> statement-breakpoint
-- One that is to begin later and would be above half never begins.
UPDATE price SET to_ms = from_ms
WHERE tariff = 'batch' AND from_ms > unixepoch() * 1000 AND (to_ms IS NULL OR to_ms > from_ms) AND EXISTS (
  SELECT 1 FROM price AS standard
  WHERE standard.model_id = price.model_id AND standard.tariff = 'standard'
    AND (standard.to_ms IS NULL OR standard.to_ms > price.from_ms - 86400000)
    AND (price.cache_hit_nano_usd > standard.cache_hit_nano_usd / 2
      OR price.cache_miss_nano_usd > standard.cache_miss_nano_usd / 2
      OR price.output_nano_usd > standard.output_nano_usd / 2)
);
