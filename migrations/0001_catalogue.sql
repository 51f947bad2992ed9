-- The first catalogue and its dated prices (integer nano-USD per token: $2.19 per million tokens = 2190).
INSERT INTO model (id, name, aliases, model_paths, revision, license, reasoning, context_tokens, output_tokens_max, output_tokens_default) VALUES
  ('deepseek-r1-0528', 'DeepSeek-R1', '["deepseek-reasoner","deepseek-r1","deepseek-ai/DeepSeek-R1-0528"]', '["deepseek-ai/DeepSeek-R1-0528"]', 'DeepSeek-R1-0528', 'MIT', 1, 131072, 65536, 32768),
  ('deepseek-v3-0324', 'DeepSeek-V3', '["deepseek-chat","deepseek-v3","deepseek-ai/DeepSeek-V3-0324"]', '["deepseek-ai/DeepSeek-V3-0324"]', 'DeepSeek-V3-0324', 'MIT', 0, 131072, 65536, 8192),
  ('deepseek-r1-zero', 'DeepSeek-R1-Zero', '["deepseek-ai/DeepSeek-R1-Zero"]', '["deepseek-ai/DeepSeek-R1-Zero"]', 'DeepSeek-R1-Zero', 'MIT', 1, 131072, 65536, 32768);
--> statement-breakpoint
INSERT INTO price (id, model_id, from_ms, to_ms, daily_from_minute, daily_to_minute, cache_hit_nano_usd, cache_miss_nano_usd, output_nano_usd, source) VALUES
  ('deepseek-r1-0528/standard/1', 'deepseek-r1-0528', 1737331200000, NULL, NULL, NULL, 140, 550, 2190, 'DeepSeek list price for R1, 2025-01-20 to 2025-09-05'),
  ('deepseek-r1-0528/off-peak/1', 'deepseek-r1-0528', 1740528000000, NULL, 990, 30, 35, 135, 550, 'DeepSeek off-peak price for R1, 16:30-00:30 UTC, 2025-02-26 to 2025-09-05'),
  ('deepseek-v3-0324/standard/1', 'deepseek-v3-0324', 1737331200000, NULL, NULL, NULL, 70, 270, 1100, 'DeepSeek list price for V3, to 2025-09-05'),
  ('deepseek-r1-zero/standard/1', 'deepseek-r1-zero', 1737331200000, NULL, NULL, NULL, 140, 550, 2190, 'As DeepSeek-R1');
