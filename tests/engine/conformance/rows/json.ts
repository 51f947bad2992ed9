/** Answers in JSON, and grammars. */
import { type Assumption, notApplicable, verdict } from '../assumption.ts';
import { choicesOf, finishOf, type Streamed, textOf } from '../direct-engine.ts';
import { freshSalt, freshWord, user } from '../prompts.ts';
import type { Subject } from '../subject.ts';

const JSON_ANSWER = 'gpu-pool/agent/sglang/json-answer.ts';
const ERRORS = 'gpu-pool/agent/sglang/engine-error.ts';

/** Few words fit it, so that any weights come to its end. */
const SCHEMA = {
  type: 'object',
  properties: { city: { enum: ['Paris', 'Rome'] }, sunny: { type: 'boolean' } },
  required: ['city', 'sunny'],
  additionalProperties: false,
};
const schemaFormat = (schema: unknown) => ({ type: 'json_schema', json_schema: { name: 'answer', schema } });
const TRIES = 3;

/** Streams a JSON answer; another one where it was cut off. */
async function answered({ engine }: Subject, format: object): Promise<Streamed> {
  for (let tries = 0; ; tries++) {
    const streamed = await engine.stream({
      messages: user(`${freshWord()} The weather in Paris, as JSON. [[reasoning=20]]`),
      response_format: format,
      max_tokens: 400,
      cache_salt: freshSalt(),
    });
    if (finishOf(streamed.chunks)?.finish_reason === 'stop' || tries === TRIES) return streamed;
  }
}

const bad = (over: object) => ({
  messages: user('Hi'),
  max_tokens: 2,
  response_format: schemaFormat({ type: 'nonsense' }),
  ...over,
});

export const JSON_ROWS: readonly Assumption[] = [
  {
    id: 'json/schema',
    says: 'an answer with a schema fits it, as content',
    madeBy: [JSON_ANSWER, 'gpu-pool/emulator/json-sample.ts'],
    async check(subject) {
      const { chunks } = await answered(subject, schemaFormat(SCHEMA));
      const content = textOf(chunks, 'content');
      return verdict(
        'an object with city and sunny',
        keysOf(content) ?? content,
        keysOf(content) === 'city, sunny',
      );
    },
  },
  {
    id: 'json/object',
    says: 'an answer that has to be an object is JSON, where it ends by itself',
    madeBy: [JSON_ANSWER],
    async check(subject) {
      const { chunks } = await answered(subject, { type: 'json_object' });
      if (finishOf(chunks)?.finish_reason !== 'stop')
        return notApplicable('no answer ended within its tokens: made weights write blanks for long');
      const content = textOf(chunks, 'content');
      return verdict('an object', keysOf(content) === null ? content : 'an object');
    },
  },
  {
    id: 'json/reasoning',
    says: 'the grammar begins after the thought, which streams as reasoning before it',
    madeBy: [JSON_ANSWER, 'gpu-pool/agent/sglang/request.ts'],
    async check(subject) {
      if (!subject.reasons) return notApplicable('the engine has no reasoning parser');
      const { chunks } = await answered(subject, schemaFormat(SCHEMA));
      const first = choicesOf(chunks).find(({ delta }) => delta?.content || delta?.reasoning_content);
      const thought = textOf(chunks, 'reasoning_content');
      const seen = `${first?.delta?.reasoning_content ? 'reasoning' : 'content'} first, ${keysOf(thought) === null ? 'no JSON' : 'JSON'} in it`;
      return verdict('reasoning first, no JSON in it', seen);
    },
  },
  {
    id: 'json/bad-schema-streamed',
    says: 'a schema that cannot be compiled is a stream of 200 whose first event is an error with the code 400; only usage and [DONE] follow',
    madeBy: [ERRORS, 'gpu-pool/emulator/chat.ts'],
    async check({ engine }) {
      const { status, chunks, done } = await engine.stream(bad({}));
      const [first, ...rest] = chunks.map(({ error, choices }) =>
        error ? error.code : choices?.length === 0 ? 'usage' : 'chunk',
      );
      const others = rest.filter((kind) => kind !== 'usage');
      return verdict('200: 400 [DONE]', `${status}: ${[first, ...others].join(' ')}${done ? ' [DONE]' : ''}`);
    },
  },
  {
    id: 'json/bad-schema-whole',
    says: 'without streaming it is a 400',
    madeBy: [ERRORS, 'gpu-pool/emulator/chat.ts'],
    async check({ engine }) {
      const { status } = await engine.whole(bad({ stream: false }));
      return verdict('400', String(status));
    },
  },
  {
    id: 'json/no-schema',
    says: 'json_schema without a schema is refused with 400',
    madeBy: ['gpu-pool/emulator/request.ts'],
    async check({ engine }) {
      const { status } = await engine.whole(
        bad({ response_format: { type: 'json_schema', json_schema: { name: 'x' } } }),
      );
      return verdict('400', String(status));
    },
  },
];

/** The keys of an object in JSON; null where the text is none. */
function keysOf(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? Object.keys(value).sort().join(', ') : null;
  } catch {
    return null;
  }
}
