/** Schemas of the API's responses, for its description. Tests check real responses against them; fields may be added. */
import * as z from 'zod';

const Usd = z.string().meta({ description: 'exact amount in US dollars', example: '0.000009' });
/** The cost of an answer, in its usage. */
const Cost = {
  cost: z.number().min(0).meta({ description: 'US dollars', example: 0.000009 }),
  cost_nano_usd: z
    .int()
    .min(0)
    .meta({ description: 'the exact cost in billionths of a US dollar', example: 9_000 }),
};
const Seconds = z.int().min(0).meta({ description: 'seconds since 1970', example: 1_764_000_000 });
const Iso = z.string().meta({ format: 'date-time' });
const tokens = z.int().min(0);

export const ErrorEnvelope = z
  .object({
    error: z.object({
      message: z.string().meta({ description: 'what happened and what to do next' }),
      type: z.string(),
      param: z.string().nullable().meta({ description: 'the invalid field, if any' }),
      code: z.string(),
    }),
  })
  .meta({ id: 'Error' });

export const AnthropicError = z
  .object({
    type: z.literal('error'),
    error: z.object({
      type: z.string(),
      message: z.string(),
      code: z.string(),
      param: z.string().nullable(),
    }),
    request_id: z.string(),
  })
  .meta({ id: 'AnthropicError' });

const ChatUsage = z
  .object({
    prompt_tokens: tokens,
    completion_tokens: tokens.meta({ description: 'including reasoning' }),
    total_tokens: tokens,
    prompt_cache_hit_tokens: tokens,
    prompt_cache_miss_tokens: tokens,
    prompt_tokens_details: z.object({ cached_tokens: tokens }),
    completion_tokens_details: z.object({ reasoning_tokens: tokens }),
    ...Cost,
  })
  .meta({ id: 'Usage' });

const Tollgate = z
  .object({
    stop: z
      .string()
      .optional()
      .meta({ description: 'the limit that ended the answer, if credit or a cap ran out' }),
    ignored: z
      .array(z.string())
      .optional()
      .meta({
        description: 'fields of the request that had no effect, also in the header `x-tollgate-ignored`',
        example: ['service_tier', 'messages[].audio'],
      }),
  })
  .optional();

const head = {
  id: z.string().meta({
    description: 'the request id, as in GET /v1/generations/{id}',
    example: 'req_01k9yv3d4m8r2s5t7w9x1y3z5b',
  }),
  created: Seconds,
  model: z.string().meta({ example: 'deepseek-r1-0528' }),
  system_fingerprint: z
    .string()
    .meta({ description: 'revision of the weights', example: 'DeepSeek-R1-0528' }),
};

export const ChatCompletion = z
  .object({
    ...head,
    object: z.literal('chat.completion'),
    choices: z.array(
      z.object({
        index: z.int().min(0),
        message: z.looseObject({
          role: z.literal('assistant'),
          content: z.string().nullable().meta({ example: 'There are 25.' }),
          reasoning_content: z.string().optional().meta({ example: 'Let me count them.' }),
          reasoning: z.string().optional().meta({ description: 'the same as `reasoning_content`' }),
          tool_calls: z.array(z.looseObject({ id: z.string() })).optional(),
        }),
        logprobs: z.unknown(),
        finish_reason: z.string().meta({ example: 'stop' }),
      }),
    ),
    usage: ChatUsage,
    tollgate: Tollgate,
  })
  .meta({ id: 'ChatCompletion' });

export const TextCompletion = z
  .object({
    ...head,
    object: z.literal('text_completion'),
    choices: z.array(
      z.object({ index: z.int().min(0), text: z.string(), logprobs: z.unknown(), finish_reason: z.string() }),
    ),
    usage: ChatUsage,
    tollgate: Tollgate,
  })
  .meta({ id: 'TextCompletion' });

export const ResponseObject = z
  .looseObject({
    id: z.string(),
    object: z.literal('response'),
    created_at: Seconds,
    status: z.enum(['completed', 'incomplete']),
    model: z.string(),
    output: z.array(
      z.looseObject({ type: z.enum(['reasoning', 'message', 'function_call']), id: z.string() }),
    ),
    usage: z.looseObject({ input_tokens: tokens, output_tokens: tokens, total_tokens: tokens, ...Cost }),
    tollgate: Tollgate,
  })
  .meta({ id: 'Response' });

const CountDetails = z.object({
  model: z.string(),
  expected_cached_tokens: tokens.meta({
    description: 'an estimate: what the node of the conversation’s last answer may still have of the prompt',
  }),
  expected_cost: z.number().meta({ description: 'US dollars for the prompt, if that much is cached' }),
  expected_cost_nano_usd: z.int(),
  price_version: z.string(),
  ignored: z.array(z.string()).optional(),
});

export const InputTokens = z
  .object({
    object: z.enum(['response.input_tokens', 'chat.completion.input_tokens']),
    input_tokens: tokens,
    tollgate: CountDetails,
  })
  .meta({ id: 'InputTokens' });

export const MessageTokens = z
  .object({ input_tokens: tokens, tollgate: CountDetails })
  .meta({ id: 'MessageTokens' });

export const DeletedResponse = z
  .object({ id: z.string(), object: z.literal('response'), deleted: z.literal(true) })
  .meta({ id: 'DeletedResponse' });

export const ItemList = z
  .object({
    object: z.literal('list'),
    data: z.array(z.looseObject({ type: z.string(), id: z.string() })),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  })
  .meta({ id: 'ItemList' });

export const Message = z
  .looseObject({
    id: z.string(),
    type: z.literal('message'),
    role: z.literal('assistant'),
    model: z.string(),
    content: z.array(z.looseObject({ type: z.enum(['thinking', 'text', 'tool_use']) })),
    stop_reason: z.string(),
    stop_sequence: z.string().nullable(),
    usage: z.looseObject({ input_tokens: tokens, output_tokens: tokens, ...Cost }),
    tollgate: Tollgate,
  })
  .meta({ id: 'Message' });

const ModelPrice = z
  .object({
    price_version: z.string(),
    unit: z.literal('USD per token'),
    cache_hit: Usd,
    cache_miss: Usd,
    output: Usd,
  })
  .nullable();

export const Model = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: Seconds,
    owned_by: z.string(),
    supported_parameters: z.array(z.string()).meta({
      description:
        'the request fields that have an effect with this model, under OpenRouter’s names; `seed` only while every node that serves it repeats answers',
    }),
    tollgate: z.object({
      name: z.string(),
      aliases: z.array(z.string()),
      alias_of: z.string().nullable().meta({
        description: 'the model that answers, where `id` is an alias of the caller’s account',
      }),
      effort: z.string().nullable().meta({ description: 'the effort of that alias' }),
      revision: z.string(),
      license: z.string(),
      context_length: tokens,
      max_output: tokens,
      pricing: ModelPrice,
      batch_pricing: ModelPrice.meta({
        description:
          'the price of a line of a batch: at most half of the lowest standard price within 24 hours, off-peak hours included; null: no batches',
      }),
      available: z.boolean().meta({ description: 'whether a node is serving it now' }),
      ends_at: z.iso
        .datetime()
        .nullable()
        .meta({ description: 'when its sale ends; null: no end is announced' }),
      successor: z
        .string()
        .nullable()
        .meta({ description: 'the model recommended in its place; it never answers by itself' }),
    }),
  })
  .meta({ id: 'Model' });

export const AnthropicModel = z
  .object({
    type: z.literal('model'),
    id: z.string(),
    display_name: z.string(),
    created_at: Iso,
    capabilities: z.null(),
    line: z.null(),
    max_input_tokens: tokens,
    max_tokens: tokens,
    lifecycle: z.enum(['active', 'deprecated']),
    deprecated_at: Iso.nullable(),
    retires_at: Iso.nullable(),
  })
  .meta({ id: 'AnthropicModel' });

export const AnthropicModels = z.object({
  data: z.array(AnthropicModel),
  has_more: z.boolean(),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
});

/** One page of a list, in OpenAI's form. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return z.looseObject({ object: z.literal('list'), data: z.array(item), has_more: z.boolean() });
}

export const Models = z.object({ object: z.literal('list'), data: z.array(Model) });

export const Balance = z.object({
  is_available: z.boolean(),
  balance_infos: z.array(
    z.object({
      currency: z.literal('USD'),
      total_balance: Usd,
      granted_balance: Usd,
      topped_up_balance: Usd,
      held_balance: Usd,
      owed_balance: Usd,
    }),
  ),
});

const capFields = {
  cap: Usd.nullable(),
  cap_period: z.string(),
  used: Usd,
  held: Usd,
  remaining: Usd.nullable(),
  resets_at: Iso.nullable(),
};

const Load = {
  ...capFields,
  limits: z.object({
    requests_per_minute: z.int().min(0),
    tokens_per_minute: z.int().min(0).nullable(),
    concurrency: z.int().min(0),
  }),
  now: z.object({
    requests_last_minute: z.int().min(0),
    tokens_last_minute: z.int().min(0),
    in_flight: z.int().min(0),
  }),
};

export const KeyNow = z.object({
  id: z.string(),
  object: z.literal('key'),
  account_id: z.string(),
  models: z.array(z.string()).nullable(),
  ...Load,
  shared_cap: z
    .object({ key_id: z.string(), ...capFields })
    .nullable()
    .meta({ description: 'the cap that all keys of one management key share' }),
  account: z.object(Load),
});

/** A short-lived token's view of itself: nothing about the account behind it. */
export const TokenNow = z.object({
  id: z.string(),
  object: z.literal('token'),
  cap: Usd,
  used: Usd,
  held: Usd,
  remaining: Usd,
  models: z.array(z.string()).nullable(),
  expires_at: Iso,
});

export const Generation = z.looseObject({
  id: z.string(),
  object: z.literal('generation'),
  model: z.string(),
  key_id: z.string(),
  node_id: z.string().nullable(),
  state: z.enum(['held', 'posted', 'voided', 'expired']),
  ending: z.string().nullable(),
  ttft_ms: z.number().nullable(),
  usage: z.object({
    prompt_tokens: tokens,
    cached_tokens: tokens,
    completion_tokens: tokens,
    reasoning_tokens: tokens,
  }),
  price_version: z.string(),
  arithmetic: z.array(z.object({ what: z.string(), tokens, usd_per_token: Usd, amount: Usd })),
  charge: Usd,
  charge_nano_usd: z.int().min(0),
  given_back: Usd,
  held: Usd,
  ledger_entry: z.int().min(0).nullable(),
});

export const UsageRow = z.object({
  start: Iso,
  key_id: z.string().optional(),
  model: z.string().optional(),
  requests: tokens,
  prompt_tokens: tokens,
  cached_tokens: tokens,
  completion_tokens: tokens,
  reasoning_tokens: tokens,
  charge: Usd,
  charge_nano_usd: z.int().min(0),
});

export const Key = z
  .object({
    id: z.string(),
    object: z.literal('key'),
    name: z.string(),
    scope: z.enum(['inference', 'management']),
    prefix: z.string(),
    last_four: z.string(),
    models: z.array(z.string()).nullable(),
    cap: Usd.nullable(),
    cap_period: z.string(),
    limits: Load.limits,
    created_at: Iso,
    expires_at: Iso.nullable(),
    revoked_at: Iso.nullable(),
    last_used_at: Iso.nullable().meta({ description: 'may be up to a minute earlier than the last use' }),
    created_by: z
      .string()
      .nullable()
      .meta({ description: 'id of the person or management key that made it' }),
    kept_by: z.string().nullable().meta({ description: 'id of the person who took it over from its maker' }),
    shares_cap_of: z
      .string()
      .nullable()
      .meta({ description: 'id of the management key with whose other keys it shares a cap' }),
    first_key: z
      .string()
      .nullable()
      .meta({ description: 'first key of the rotations that led to it; their spend counts together' }),
    rotated_to: z.string().nullable().meta({ description: 'id of the key that followed it by rotation' }),
  })
  .meta({ id: 'Key' });

export const NewKey = Key.extend({ key: z.string().meta({ description: 'returned only once' }) }).meta({
  id: 'NewKey',
});

export const Token = z.object({
  id: z.string(),
  object: z.literal('token'),
  token: z.string(),
  expires_at: Iso,
  cap: Usd,
  models: z.array(z.string()).nullable(),
});

export const File = z
  .object({
    id: z.string(),
    object: z.literal('file'),
    bytes: z.int().min(0),
    created_at: Seconds,
    expires_at: Seconds,
    filename: z.string(),
    purpose: z.enum(['batch', 'batch_output']),
    status: z.literal('processed'),
  })
  .meta({ id: 'File' });

export const Batch = z
  .looseObject({
    id: z.string(),
    object: z.literal('batch'),
    endpoint: z.string(),
    status: z.string(),
    input_file_id: z.string(),
    output_file_id: z.string().nullable(),
    error_file_id: z.string().nullable(),
    completion_window: z.literal('24h'),
    created_at: Seconds,
    expires_at: Seconds,
    request_counts: z.object({ total: z.int().min(0), completed: z.int().min(0), failed: z.int().min(0) }),
    usage: z.looseObject({ input_tokens: tokens, output_tokens: tokens, ...Cost }),
    metadata: z.record(z.string(), z.string()).nullable(),
    tollgate: z.object({ paused_by: z.string().nullable(), key_id: z.string() }),
  })
  .meta({ id: 'Batch' });

export const Alias = z
  .object({
    id: z.string().meta({ description: 'the name, in lower case' }),
    object: z.literal('alias'),
    model: z.string().meta({ description: 'id of the model that answers' }),
    effort: z.string().nullable(),
    created_at: Iso,
    created_by: z.string().meta({ description: 'id of the person or management key that set it last' }),
  })
  .meta({ id: 'Alias' });
export const Aliases = z.object({ object: z.literal('list'), data: z.array(Alias) });

export const Deleted = z.object({ id: z.string(), object: z.string(), deleted: z.literal(true) });
