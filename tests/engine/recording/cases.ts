/**
 * The recorded requests. Each is greedy, so that the made weights say the same words each time. Together they meet every
 * form of answer and every refusal that an agent of ours can get.
 */
import type { Ask } from './exchange.ts';

const CHAT = '/v1/chat/completions';
const TEXT = '/v1/completions';
const MODEL = 'deepseek-ai/DeepSeek-R1-0528';

const user = (content: unknown) => ({ role: 'user', content });
const HELLO = [user('hello')];
const CITY = {
  type: 'object',
  properties: { city: { type: 'string', enum: ['Paris'] } },
  required: ['city'],
};
const tool = (name: string, parameters: unknown = CITY) => ({
  type: 'function',
  function: { name, parameters },
});
const WEATHER = tool('get_weather');
const TIME = tool('get_time', {
  type: 'object',
  properties: { zone: { type: 'integer', enum: [7] } },
  required: ['zone'],
});
const ANSWER_SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string', enum: ['Paris'] }, degrees: { type: 'integer', enum: [21] } },
  required: ['city', 'degrees'],
  additionalProperties: false,
};
const schema = (value: unknown) => ({ type: 'json_schema', json_schema: { name: 'answer', schema: value } });

/** The token that opens tool calls in the made vocabulary; preferred, the greedy answer becomes a call. */
const PREFER_CALLS = { '455': 3 };
const CALLING = { messages: HELLO, tools: [WEATHER], logit_bias: PREFER_CALLS };

type Body = Record<string, unknown>;
const chat = (body: Body): Ask => ({
  path: CHAT,
  body: { model: MODEL, temperature: 0, messages: HELLO, ...body },
});
const text = (body: Body): Ask => ({
  path: TEXT,
  body: { model: MODEL, temperature: 0, prompt: ' here is my', max_tokens: 4, ...body },
});
const USAGE = { stream: true, stream_options: { include_usage: true } };
/** As the agent asks. */
const COUNTED = { stream: true, stream_options: { include_usage: true, continuous_usage_stats: true } };

/** The same request whole, streamed, and streamed as the agent does. */
function everyWay(name: string, ask: (body: Body) => Ask, body: Body): Record<string, Ask> {
  return {
    [`${name}-whole`]: ask(body),
    [`${name}-streamed`]: ask({ ...body, ...USAGE }),
    [`${name}-counted`]: ask({ ...body, ...COUNTED }),
  };
}

/** Requests that are answered. Their tokens are recorded, too, since an emulator has no weights. */
export const ANSWERED: Record<string, Ask> = {
  ...everyWay('chat', chat, {}),
  'chat-streamed-without-usage': chat({ stream: true }),
  'chat-counted-without-last-usage': chat({ stream: true, stream_options: { continuous_usage_stats: true } }),
  ...everyWay('chat-two-choices', chat, { n: 2 }),
  ...everyWay('chat-cut-in-thought', chat, { max_tokens: 5 }),
  ...everyWay('chat-cut-in-answer', chat, { max_tokens: 14 }),
  ...everyWay('chat-one-token', chat, { max_tokens: 1 }),
  ...everyWay('chat-cut-in-character', chat, { max_tokens: 18 }),
  ...everyWay('chat-stopped-in-thought', chat, { stop: ['number'] }),
  ...everyWay('chat-stopped-in-answer', chat, { stop: ['both', 'parts'] }),
  // Whole only: what of a stop string was sent before it was complete depends on how tokens were grouped into frames.
  'chat-stopped-across-tokens-whole': chat({ stop: 'result it' }),
  ...everyWay('chat-reasoning-in-content', chat, { separate_reasoning: false }),
  ...everyWay('chat-reasoning-held', chat, { stream_reasoning: false }),
  ...everyWay('chat-reasoning-held-and-cut', chat, { stream_reasoning: false, max_tokens: 5 }),
  ...everyWay('chat-logprobs', chat, { logprobs: true, top_logprobs: 2, max_tokens: 20 }),
  ...everyWay('chat-json-schema', chat, { response_format: schema(ANSWER_SCHEMA) }),
  ...everyWay('chat-json-object', chat, { response_format: { type: 'json_object' }, max_tokens: 16 }),
  ...everyWay('chat-json-cut-in-thought', chat, { response_format: schema(ANSWER_SCHEMA), max_tokens: 5 }),
  ...everyWay('chat-tool-called', chat, CALLING),
  ...everyWay('chat-tool-cut', chat, { ...CALLING, max_tokens: 20 }),
  ...everyWay('chat-tool-not-called', chat, { tools: [WEATHER] }),
  ...everyWay('chat-tool-or-json', chat, { tools: [WEATHER], response_format: schema(ANSWER_SCHEMA) }),
  ...everyWay('chat-tool-forbidden', chat, { ...CALLING, tool_choice: 'none' }),
  ...everyWay('chat-tool-required', chat, { tools: [WEATHER], tool_choice: 'required' }),
  ...everyWay('chat-tool-named', chat, {
    tools: [TIME, WEATHER],
    tool_choice: { type: 'function', function: { name: 'get_weather' } },
  }),
  'chat-conversation-counted': chat({
    messages: [
      { role: 'system', content: 'hello' },
      user([
        { type: 'text', text: 'weather in' },
        { type: 'text', text: ' paris' },
      ]),
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'c1', type: 'function', function: { name: 'get_weather', arguments: '{"city":"Paris"}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'c1', content: '21' },
      { role: 'assistant', content: 'hello', reasoning_content: 'first' },
      user('hello'),
    ],
    tools: [WEATHER],
    ...COUNTED,
  }),
  'chat-after-tool-output-counted': chat({
    messages: [
      user('hello'),
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'get_weather', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c1', content: '21' },
    ],
    max_tokens: 5,
    ...COUNTED,
  }),
  ...everyWay('chat-continued-thought', chat, {
    messages: [...HELLO, { role: 'assistant', content: '<think>\n first the' }],
    continue_final_message: true,
  }),
  ...everyWay('chat-continued-answer', chat, {
    messages: [...HELLO, { role: 'assistant', content: '<think>\n first</think> here is' }],
    continue_final_message: true,
  }),
  ...everyWay('text', text, {}),
  ...everyWay('text-two-choices', text, { n: 2 }),
  ...everyWay('text-logprobs', text, { logprobs: 1 }),
  ...everyWay('text-stopped', text, { stop: ['it'] }),
  ...everyWay('text-to-its-end', text, { max_tokens: 60 }),
};

const BROKEN_CALL = (argumentsText: string) => [
  user('hello'),
  {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 'c1', type: 'function', function: { name: 'get_weather', arguments: argumentsText } }],
  },
  { role: 'tool', tool_call_id: 'c1', content: '21' },
  user('hello'),
];
const constrained = (member: Record<string, unknown>) =>
  schema({ type: 'object', properties: { a: member }, required: ['a'] });

/** Requests that are refused, or might be. */
export const REFUSED: Record<string, Ask> = {
  'refused-no-key': { ...chat({}), key: 'none' },
  'refused-wrong-key': { ...chat({}), key: 'wrong' },
  'refused-no-json': { path: CHAT, body: '{"model": ' },
  'refused-no-messages': { path: CHAT, body: { model: MODEL } },
  'refused-empty-messages': chat({ messages: [] }),
  'refused-unknown-role': chat({ messages: [{ role: 'critic', content: 'hello' }] }),
  'refused-number-as-content': chat({ messages: [user(7)] }),
  'refused-max-tokens-negative': chat({ max_tokens: -1 }),
  'refused-max-tokens-text': chat({ max_tokens: 'many' }),
  'refused-max-tokens-past-context': chat({ max_tokens: 200_000 }),
  'refused-max-tokens-past-context-streamed': chat({ max_tokens: 200_000, stream: true }),
  'refused-temperature-negative': chat({ temperature: -1 }),
  'refused-temperature-text': chat({ temperature: 'warm' }),
  'refused-top-p-zero': chat({ top_p: 0 }),
  'refused-top-p-two': chat({ top_p: 2 }),
  'refused-presence-penalty': chat({ presence_penalty: 3 }),
  'refused-frequency-penalty': chat({ frequency_penalty: -3 }),
  'refused-n-zero': chat({ n: 0 }),
  'refused-stop-number': chat({ stop: 7 }),
  'refused-seed-text': chat({ seed: 'x' }),
  'refused-tool-choice-without-tools': chat({ tool_choice: 'required' }),
  'refused-tool-choice-unknown': chat({
    tools: [WEATHER],
    tool_choice: { type: 'function', function: { name: 'get_time' } },
  }),
  'refused-tool-schema': chat({ tools: [tool('get_weather', { type: 'object', required: true })] }),
  'refused-tool-schema-type': chat({ tools: [tool('get_weather', { type: 'thing' })] }),
  'refused-tool-without-name': chat({ tools: [{ type: 'function', function: {} }] }),
  'refused-arguments-empty': chat({ messages: BROKEN_CALL('') }),
  'refused-arguments-cut': chat({ messages: BROKEN_CALL('{"city": "Pa') }),
  'refused-arguments-no-object': chat({ messages: BROKEN_CALL('[1]') }),
  'refused-lone-surrogate': chat({ messages: [user('\ud83d')] }),
  'refused-no-schema': chat({ response_format: { type: 'json_schema' } }),
  'refused-format-type': chat({ response_format: { type: 'yaml' } }),
  'refused-schema': chat({ response_format: constrained({ type: 'thing' }) }),
  'refused-schema-streamed': chat({ response_format: constrained({ type: 'thing' }), ...USAGE }),
  'refused-schema-streamed-without-usage': chat({
    response_format: constrained({ type: 'thing' }),
    stream: true,
  }),
  'refused-schema-counted': chat({ response_format: constrained({ type: 'thing' }), ...COUNTED }),
  'refused-text-empty': text({ prompt: '' }),
  'refused-text-without-prompt': { path: TEXT, body: { model: MODEL } },
  'refused-text-max-tokens-zero': text({ max_tokens: 0 }),
  'refused-text-past-context': text({ max_tokens: 200_000 }),
  'refused-abort-without-key': { path: '/abort_request', body: { rid: 'x' }, key: 'none' },
  'refused-abort-with-user-key': { path: '/abort_request', body: { rid: 'x' } },
  'refused-path': { path: '/v1/nothing' },
  'refused-method': { path: CHAT },
};

/** The engine's description of itself. */
export const TOLD: Record<string, Ask> = {
  health: { path: '/health', key: 'none' },
  'health-generate': { path: '/health_generate', key: 'none' },
  'model-info': { path: '/model_info' },
  'get-model-info': { path: '/get_model_info' },
  models: { path: '/v1/models' },
  'server-info': { path: '/server_info' },
  loads: { path: '/v1/loads?include=core' },
  'loads-without-key': { path: '/v1/loads?include=core', key: 'none' },
  metrics: { path: '/metrics', key: 'none' },
  'tokenize-text': { path: '/v1/tokenize', body: { model: MODEL, prompt: 'hello' } },
  'tokenize-chat': { path: '/v1/tokenize', body: { model: MODEL, messages: HELLO } },
  'tokenize-special': {
    path: '/tokenize',
    body: { model: MODEL, prompt: '</think><｜User｜><｜tool▁calls▁begin｜><｜end▁of▁sentence｜>' },
  },
  'abort-of-nobody': { path: '/abort_request', body: { rid: 'nobody' }, key: 'admin' },
};
