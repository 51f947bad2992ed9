-- Prefill steps are as long as the recipes' own table says, on all hardware: the profiles of the models for sale, as
-- gpu-pool/models has them, no longer set them.
UPDATE model SET profile = json_remove(
  profile,
  '$.hardware."8xh200"."--chunked-prefill-size"',
  '$.hardware."8xh200"."--max-prefill-tokens"',
  '$.hardware."8xmi300x"."--chunked-prefill-size"',
  '$.hardware."8xmi300x"."--max-prefill-tokens"'
) WHERE id IN ('deepseek-r1-0528', 'deepseek-r1-zero', 'deepseek-v3-0324');
