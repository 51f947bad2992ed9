/** Frames of a stream, and usage. */
import { UsageMeter } from '../../../../gpu-pool/agent/sglang/usage.ts';
import { type Assumption, verdict, withoutFaults } from '../assumption.ts';
import { type Chunk, choicesOf, finishOf, TEXT_PATH, textOf, totalOf } from '../direct-engine.ts';
import { freshSalt, freshWord, user } from '../prompts.ts';

const STREAM = 'gpu-pool/agent/sglang/stream.ts';
const USAGE = 'gpu-pool/agent/sglang/usage.ts';
const SHAPE = 'gpu-pool/emulator/openai-shape.ts';

const short = (over: object = {}) => ({
  messages: user(`${freshWord()} Say hello.`),
  max_tokens: 12,
  ignore_eos: true,
  cache_salt: freshSalt(),
  ...over,
});
const hasText = ({ choices }: Chunk) =>
  (choices ?? []).some(
    ({ delta }) => delta?.content || delta?.reasoning_content || delta?.tool_calls?.length,
  );

/** Usage of the chunks of one choice. */
const usagesOf = (chunks: readonly Chunk[], index: number) =>
  chunks.filter(({ choices }) => choices?.[0]?.index === index).flatMap(({ usage }) => usage ?? []);

export const STREAMS: readonly Assumption[] = [
  {
    id: 'streams/order',
    says: 'a stream is a chunk with the role, chunks with text, one with the finish reason, one with usage alone, and [DONE]',
    madeBy: [STREAM, SHAPE, 'gpu-pool/emulator/answer.ts'],
    async check({ engine }) {
      const { chunks, done } = await engine.stream(short());
      const kindOf = (chunk: Chunk) => {
        if (chunk.choices?.length === 0) return 'usage';
        if (chunk.choices?.[0]?.finish_reason) return 'finish';
        return hasText(chunk) ? 'text' : 'role';
      };
      const kinds = chunks.map(kindOf).filter((kind, at, all) => kind !== all[at - 1]);
      return verdict('role text finish usage [DONE]', `${kinds.join(' ')}${done ? ' [DONE]' : ''}`);
    },
  },
  {
    id: 'streams/null-reasoning',
    says: 'every delta has reasoning_content, null or text',
    madeBy: [STREAM, SHAPE],
    async check({ engine }) {
      const { chunks } = await engine.stream(short());
      const without = choicesOf(chunks).filter(({ delta }) => delta && !('reasoning_content' in delta));
      return verdict('0 without', `${without.length} without`);
    },
  },
  {
    id: 'streams/model-and-id',
    says: 'chunks of a single choice have the request’s rid as id, and its model',
    madeBy: ['gpu-pool/agent/active-requests.ts', SHAPE],
    async check({ engine, facts }) {
      const rid = `req_${freshWord()}`;
      const { chunks } = await engine.stream(short({ rid }));
      const ids = new Set(
        chunks.map(
          ({ id, model }) =>
            `${id === rid ? 'rid' : id} ${model === facts.info.model_path ? 'model' : model}`,
        ),
      );
      return verdict('rid model', [...ids].join(', '));
    },
  },
  {
    id: 'streams/choice-ids',
    says: 'of several choices each has an id of the engine’s own making in its chunks',
    madeBy: ['gpu-pool/agent/active-requests.ts', 'gpu-pool/emulator/chat.ts'],
    async check({ engine }) {
      const rid = `req_${freshWord()}`;
      const { chunks } = await engine.stream(short({ rid, n: 3 }));
      const idsOf = (index: number) =>
        new Set(
          chunks.filter((chunk) => hasText(chunk) && chunk.choices?.[0]?.index === index).map(({ id }) => id),
        );
      const each = [0, 1, 2].map(idsOf);
      const all = new Set(each.flatMap((ids) => [...ids]));
      return verdict(
        'one id a choice, 3 in all, none the rid',
        `${each.map(({ size }) => size).join(' ')} ids a choice, ${all.size} in all${all.has(rid) ? ', one the rid' : ''}`,
        each.every(({ size }) => size === 1) && all.size === 3 && !all.has(rid),
      );
    },
  },
  {
    id: 'streams/continuous-usage',
    says: 'with continuous_usage_stats every chunk with text has usage, and the ones with the role and the finish reason have none',
    madeBy: [USAGE, 'gpu-pool/emulator/answer.ts'],
    async check({ engine }) {
      const { chunks } = await engine.stream(short({ n: 2 }));
      const own = chunks.filter(({ choices }) => choices?.length);
      const wrong = own.filter((chunk) => hasText(chunk) !== Boolean(chunk.usage));
      return verdict('0 otherwise', `${wrong.length} otherwise`);
    },
  },
  {
    id: 'streams/usage-grows',
    says: 'usage counts the tokens of its own choice and only grows; the last chunk counts all choices, and the prompt once',
    madeBy: [USAGE, 'worker/gateway/meter.ts'],
    async check({ engine }) {
      const { chunks } = await engine.stream(short({ n: 3 }));
      const anomalies: string[] = [];
      const meter = new UsageMeter({ choices: 3, maxTokens: 36, onAnomaly: (kind) => anomalies.push(kind) });
      for (const { usage, choices } of chunks)
        meter.read(
          usage,
          (choices ?? []).map(({ index }) => index),
        );
      const total = totalOf(chunks);
      const prompts = new Set(
        [0, 1, 2].flatMap((index) => usagesOf(chunks, index)).map(({ prompt_tokens }) => prompt_tokens),
      );
      const seen = `${total?.completion_tokens} in all, ${prompts.size} prompt counts, ${prompts.has(total?.prompt_tokens ?? -1) ? 'the same' : 'another'} at the end; anomalies: ${anomalies.join(' ') || 'none'}`;
      return verdict('36 in all, 1 prompt counts, the same at the end; anomalies: none', seen);
    },
  },
  {
    id: 'streams/choices-cached',
    says: 'each of several choices reports a fresh prompt as cached, as far as a second request finds it cached; a single one does not',
    madeBy: ['gpu-pool/agent/engine-run.ts', 'gpu-pool/emulator/engine.ts'],
    async check({ engine }) {
      const cachedOf = async (body: object) => {
        const { chunks } = await engine.stream(body);
        const usages = [...usagesOf(chunks, 0), ...usagesOf(chunks, 1), ...[totalOf(chunks)]];
        return [...new Set(usages.map((usage) => usage?.prompt_tokens_details?.cached_tokens ?? 0))].join();
      };
      const fresh = () => short({ messages: user(`${freshWord()} ${'Say hello. '.repeat(100)}`) });
      const [several, single] = [fresh(), fresh()];
      const [first, again] = [await cachedOf({ ...several, n: 2 }), await cachedOf(several)];
      const alone = await cachedOf(single);
      return verdict(
        `as many as again, ${again}, and 0 for a single one`,
        `${first} and ${alone}`,
        first === again && Number(again) > 60 && alone === '0',
      );
    },
  },
  {
    id: 'streams/max-tokens',
    says: 'max_tokens ends each choice at exactly so many tokens, with "length"',
    madeBy: ['gpu-pool/agent/sglang/request.ts', 'gpu-pool/emulator/plan.ts'],
    async check({ engine }) {
      const ends = await Promise.all(
        [1, 2, 5].map(async (max) => {
          const { chunks } = await engine.stream(short({ max_tokens: max }));
          return `${totalOf(chunks)?.completion_tokens} ${finishOf(chunks)?.finish_reason}`;
        }),
      );
      return verdict('1 length, 2 length, 5 length', ends.join(', '));
    },
  },
  {
    id: 'streams/cached',
    says: 'usage names cached tokens once the prompt is repeated, in every chunk and in the last',
    madeBy: [USAGE, 'worker/domain/canary.ts'],
    async check({ engine }) {
      const body = short({
        messages: user(`${freshWord()} ${'A canary is a small yellow bird. '.repeat(30)}`),
      });
      await engine.stream(body);
      const { chunks } = await engine.stream(body);
      const cachedOf = (chunk: Chunk | undefined) => chunk?.usage?.prompt_tokens_details?.cached_tokens ?? 0;
      const total = totalOf(chunks);
      const [first, last] = [cachedOf(chunks.find(hasText)), cachedOf(chunks.at(-1))];
      return verdict(
        'more than half of the prompt, twice',
        `${first} and ${last} of ${total?.prompt_tokens}`,
        first === last && last > (total?.prompt_tokens ?? 0) / 2 && last <= (total?.prompt_tokens ?? 0),
      );
    },
  },
  {
    id: 'streams/uncached',
    says: 'the details of prompt tokens are null or 0 where nothing was cached',
    madeBy: [USAGE, SHAPE],
    async check({ engine }) {
      const { chunks } = await engine.stream(short());
      const cached = totalOf(chunks)?.prompt_tokens_details?.cached_tokens ?? 0;
      return verdict('0', String(cached));
    },
  },
  {
    id: 'streams/whole-usage',
    says: 'a whole answer has the usage of a streamed one',
    madeBy: [SHAPE],
    async check({ engine }) {
      const body = short({ max_tokens: 7, n: 2 });
      const { answer } = await engine.whole(body);
      const { chunks } = await engine.stream(body);
      return verdict(
        `${totalOf(chunks)?.prompt_tokens} + 14`,
        `${answer.usage?.prompt_tokens} + ${answer.usage?.completion_tokens}`,
      );
    },
  },
  {
    id: 'streams/head',
    says: 'the response’s head waits for the first chunk',
    madeBy: ['gpu-pool/agent/engine-post.ts'],
    async check({ engine }) {
      const { headMs, atMs } = await engine.stream(
        short({ messages: user(`${freshWord()} ${'word '.repeat(800)}`) }),
      );
      const first = atMs[0] ?? 0;
      return verdict(
        'at most 100 ms before it',
        `${Math.round(first - headMs)} ms before it`,
        first - headMs <= 100,
      );
    },
  },
  {
    id: 'streams/text-completion',
    says: 'a text completion streams `text`, counts as a chat does, and has no reasoning',
    madeBy: [STREAM, 'gpu-pool/emulator/text-format.ts'],
    async check({ engine }) {
      const body = { prompt: `${freshWord()} Once upon a time`, max_tokens: 9, ignore_eos: true };
      const { chunks, done } = await engine.stream(body, TEXT_PATH);
      const total = totalOf(chunks);
      const seen = `${textOf(chunks, 'content') === '' ? 'no text' : 'text'}, ${total?.completion_tokens} tokens, ${total?.reasoning_tokens ?? 0} of reasoning${done ? ', [DONE]' : ''}`;
      return verdict('text, 9 tokens, 0 of reasoning, [DONE]', seen);
    },
  },
  {
    id: 'streams/natural-end',
    says: 'an answer that ends by itself has the reason "stop", and the id of its last token as matched_stop',
    madeBy: [STREAM, 'gpu-pool/emulator/tokenizer.ts'],
    async check({ engine }) {
      const body = engine.endless({
        ignore_eos: false,
        messages: user(`${freshWord()} Say hi. [[reasoning=5 answer=5]]`),
        max_tokens: 1_500,
      });
      const { chunks } = await engine.stream(body);
      const finish = finishOf(chunks);
      return verdict('stop number', `${finish?.finish_reason} ${typeof finish?.matched_stop}`);
    },
  },
  {
    id: 'streams/finish-last',
    says: 'the finish reasons of all choices come together, after the last text',
    madeBy: ['gpu-pool/emulator/answer.ts'],
    async check({ engine }) {
      const { chunks } = await engine.stream(short({ n: 3 }));
      const firstFinish = chunks.findIndex(({ choices }) => choices?.[0]?.finish_reason);
      const after = chunks.slice(firstFinish).filter(hasText);
      return withoutFaults(
        'no text after it',
        after.map(() => 'text after it'),
      );
    },
  },
];
