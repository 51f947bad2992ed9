/** The answers that customers get through agent and edge where the engine alone answers otherwise. */
import { PRIORITY } from '../../../../gpu-pool/agent/sglang/request.ts';
import { notApplicable, verdict, withoutFaults } from '../assumption.ts';
import { choicesOf, finishOf, textOf } from '../direct-engine.ts';
import type { EdgeAssumption } from '../edge-assumption.ts';
import { freshWord, user } from '../prompts.ts';
import { eventually } from '../subject.ts';
import { isObject, WEATHER } from './tools.ts';

const named = { type: 'function', function: { name: WEATHER.function.name } } as const;
/** One answer in ten of the made weights is a call, at temperature 1. */
const CALL_TRIES = 5;
const CALL_CHOICES = 8;

const question = (text: string) => user(`${freshWord()} ${text}`);

export const PRODUCT: readonly EdgeAssumption[] = [
  {
    id: 'product/stop',
    says: 'a stop string that the thought has too ends the answer only',
    madeBy: ['gpu-pool/agent/sglang/stop-strings.ts', 'gpu-pool/agent/answer-relay.ts'],
    async check({ edge, reasons }) {
      const { chunks } = await edge.stream({
        messages: question('Say hi. [[reasoning=30 answer=60]]'),
        stop: ['e'],
        max_tokens: 900,
      });
      const thought = textOf(chunks, 'reasoning_content');
      const content = textOf(chunks, 'content');
      const finish = finishOf(chunks)?.finish_reason;
      const seen = `${thought.includes('e') ? 'e in the thought' : 'no e in the thought'}, ${content.includes('e') ? 'e in the answer' : 'none in the answer'}, ${finish}`;
      return verdict(
        'e in the thought, none in the answer, stop',
        seen,
        !reasons || (!content.includes('e') && finish !== null),
      );
    },
  },
  {
    id: 'product/choices',
    says: 'an idle node takes eight choices, five times in a row',
    madeBy: ['gpu-pool/agent/engine-queue.ts'],
    async check({ edge }) {
      const seen: number[] = [];
      for (let i = 0; i < 5; i++)
        seen.push(
          (await edge.ask({ messages: question('Hi [[reasoning=5 answer=5]]'), n: 8, max_tokens: 6 })).status,
        );
      return verdict('200 200 200 200 200', seen.join(' '));
    },
  },
  {
    id: 'product/burst',
    says: 'an idle node refuses none of a burst of as many requests as it can run and queue',
    madeBy: ['gpu-pool/agent/engine-queue.ts', 'gpu-pool/agent/active-requests.ts'],
    async check({ edge, places }) {
      const count = Math.min(64, places.running + (places.queued ?? 0));
      const answers = await Promise.all(
        Array.from({ length: count }, () =>
          edge.ask({ messages: question('Hi [[reasoning=5 answer=5]]'), max_tokens: 6 }),
        ),
      );
      const refused = answers.filter(({ status }) => status !== 200).map(({ status }) => String(status));
      return withoutFaults(`${count} served`, refused);
    },
  },
  {
    id: 'product/priority',
    says: 'the agent’s priorities differ by more than the engine’s threshold',
    madeBy: ['gpu-pool/agent/sglang/request.ts'],
    async check({ facts }) {
      const { priority_scheduling_preemption_threshold: threshold } = facts.settings;
      const difference = PRIORITY.interactive - PRIORITY.background;
      return verdict(`more than ${threshold}`, String(difference), difference > threshold);
    },
  },
  ...(['auto', 'required', named] as const).map(
    (choice): EdgeAssumption => ({
      id: `product/call-${typeof choice === 'string' ? choice : 'named'}`,
      says: 'what a customer gets of a call is a name that was given and arguments that are an object, and no markup',
      madeBy: ['gpu-pool/agent/sglang/raw-answer.ts', 'gpu-pool/agent/sglang/answer-format.ts'],
      async check({ edge }) {
        const faults: string[] = [];
        let calls = 0;
        for (let tries = 0; tries < CALL_TRIES && (calls === 0 || tries < 2); tries++) {
          const { answer } = await edge.ask({
            messages: question('What is the weather in Paris? [tool] [[reasoning=20]]'),
            tools: [WEATHER],
            tool_choice: choice,
            n: CALL_CHOICES,
            temperature: 1,
            max_tokens: 300,
          });
          const messages = (answer.choices ?? []).map(({ message }) => message);
          if (messages.length < CALL_CHOICES) faults.push(`${messages.length} choices`);
          const texts = messages.map((each) => `${each?.content ?? ''}${each?.reasoning_content ?? ''}`);
          if (texts.some((text) => /<｜tool▁/.test(text))) faults.push('markup in the text');
          for (const call of messages.flatMap((each) => each?.tool_calls ?? [])) {
            calls += 1;
            if (call.function?.name !== WEATHER.function.name)
              faults.push(`a call of ${call.function?.name}`);
            if (!isObject(call.function?.arguments ?? ''))
              faults.push(`arguments ${call.function?.arguments}`);
          }
        }
        if (faults.length === 0 && calls === 0)
          return notApplicable('no answer called a tool within its tokens');
        return withoutFaults('calls without a fault', faults);
      },
    }),
  ),
  {
    id: 'product/history',
    says: 'a conversation with arguments that were cut off goes on',
    madeBy: ['worker/domain/engine-text.ts'],
    async check({ edge }) {
      const statuses: number[] = [];
      for (const text of ['', '{"city": "Par', '[1]']) {
        const call = { id: 'c', type: 'function', function: { name: 'get_weather', arguments: text } };
        const messages = [
          ...question('The weather? [[reasoning=5 answer=5]]'),
          { role: 'assistant', content: '', tool_calls: [call] },
          { role: 'tool', tool_call_id: 'c', content: 'Sunny.' },
        ];
        statuses.push((await edge.ask({ messages, max_tokens: 4 })).status);
      }
      return verdict('200 200 200', statuses.join(' '));
    },
  },
  {
    id: 'product/surrogate',
    says: 'half of a surrogate pair in a message is made whole',
    madeBy: ['worker/domain/engine-text.ts'],
    async check({ edge }) {
      const { status } = await edge.ask({ messages: question('Half: \ud83d'), max_tokens: 4 });
      return verdict('200', String(status));
    },
  },
  {
    id: 'product/json-streams',
    says: 'the thought before a JSON answer streams as it comes',
    madeBy: ['gpu-pool/agent/sglang/json-answer.ts'],
    async check({ edge, reasons }) {
      const schema = {
        type: 'object',
        properties: { sunny: { type: 'boolean' } },
        required: ['sunny'],
        additionalProperties: false,
      };
      const body = {
        messages: question('The weather as JSON. [[reasoning=60]]'),
        response_format: { type: 'json_schema', json_schema: { name: 'w', schema } },
        max_tokens: 600,
      };
      const { chunks } = await edge.stream(body);
      const first = choicesOf(chunks).find(({ delta }) => delta?.reasoning_content || delta?.content);
      const pieces = choicesOf(chunks).filter(({ delta }) => delta?.reasoning_content).length;
      const seen = `${first?.delta?.reasoning_content ? 'reasoning' : 'content'} first, in ${pieces > 1 ? 'several pieces' : 'one piece'}`;
      return verdict(
        'reasoning first, in several pieces',
        seen,
        !reasons || seen === 'reasoning first, in several pieces' || pieces === 1,
      );
    },
  },
  {
    id: 'product/isolation',
    says: 'one account finds nothing in the cache of another, and its own second turn',
    madeBy: ['worker/gateway/cache-salt.ts', 'worker/domain/template-tokens.ts'],
    async check({ edge }) {
      const messages = question(
        `${'Miners took a canary along in a cage. '.repeat(30)}[[reasoning=5 answer=5]]`,
      );
      const cached = async (account: 'first' | 'second') => {
        const { answer } = await edge.ask({ messages, max_tokens: 3 }, undefined, account);
        return answer.usage?.prompt_tokens_details?.cached_tokens ?? 0;
      };
      const seen = [await cached('first'), await cached('second'), await cached('first')];
      const [first = 0, other = 0, again = 0] = seen;
      return verdict('few, few, many', seen.join(', '), first < 16 && other < 16 && again > 60);
    },
  },
  {
    id: 'product/context',
    says: 'a prompt that is too long for the engine is refused, and nothing is charged',
    madeBy: ['gpu-pool/agent/context-window.ts'],
    async check({ edge, contextTokens }) {
      const known = edge.settled();
      const words = Math.min(400_000, Math.ceil(contextTokens * 1.2));
      // After five seconds the status is out, and the refusal stands in the body.
      const { status, answer } = await edge.ask({ messages: question('zq '.repeat(words)), max_tokens: 4 });
      await eventually(() => edge.settled().size > known.size, 5_000);
      const charged = [...edge.settled().values()]
        .filter(({ request_id: id }) => !known.has(id))
        .reduce((sum, row) => sum + row.charge_nano_usd, 0);
      return verdict('refused, 0 charged', `${answer.error ? 'refused' : status}, ${charged} charged`);
    },
  },
];
