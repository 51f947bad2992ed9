import type { Alike } from '../../domain/unread-fields.ts';

/**
 * Values of fields that this API does not read, with which a request asks for what happens anyway. A request loses nothing
 * by them, so `tollgate.ignored` does not name them.
 */
export const ALIKE = {
  /** Only answers of the Responses API are stored, and its schema reads the field. */
  store: [false],
  /** There is one tier; batches have routes of their own. */
  service_tier: ['auto', 'default', 'standard', 'standard_only'],
  speed: ['standard'],
  /** A model may call several tools at once. */
  parallel_tool_calls: [true],
  'tool_choice.disable_parallel_tool_use': [false],
  'stream_options.include_obfuscation': [false],
  /** An answer is text. */
  modalities: [['text']],
  /** `{}` asks for a search with its defaults. */
  web_search_options: 'none',
  verbosity: ['medium'],
  'text.verbosity': ['medium'],
  /** A prompt that does not fit is refused. */
  truncation: ['disabled'],
  /** Every prompt's prefix is cached, without being asked. */
  cache_control: 'any',
  'system[].cache_control': 'any',
  'messages[].content[].cache_control': 'any',
  'messages[].content[].content[].cache_control': 'any',
  'tools[].cache_control': 'any',
  'tools[].function.cache_control': 'any',
  /** Reasoning is returned as text; OpenAI's own is returned as a summary, if at all. */
  'reasoning.mode': ['standard'],
  'reasoning.context': ['auto'],
  /** Clients send items back as they came: the labels of an item say nothing to a model. */
  'input[].id': 'any',
  'input[].status': 'any',
  'input[].content[].annotations': 'any',
  'input[].content[].logprobs': 'any',
  'messages[].content[].annotations': 'any',
  'messages[].content[].citations': 'any',
  'messages[].content[].caller': 'any',
  'messages[].content[].signature': 'any',
  /** Our own answers have null there; `[]` and null never count. */
  'messages[].refusal': [''],
  /** The other fields of an answer that is sent back as it came, and those that OpenAI's library adds to it. */
  'messages[].id': 'any',
  'messages[].type': ['message'],
  'messages[].model': 'any',
  'messages[].stop_reason': 'any',
  'messages[].stop_sequence': 'any',
  'messages[].usage': 'any',
  'messages[].tollgate': 'any',
  'messages[].parsed': 'any',
  'messages[].tool_calls[].index': 'any',
  'messages[].tool_calls[].function.parsed_arguments': 'any',
  'input[].content[].parsed': 'any',
  'input[].parsed_arguments': 'any',
} satisfies Record<string, Alike>;
