/** Refusals, which the agent reads by their status. */
import { CONTEXT_RESERVE } from '../../../../gpu-pool/protocol/constants.ts';
import { type Assumption, notApplicable, verdict, withoutFaults } from '../assumption.ts';
import { freshWord, user } from '../prompts.ts';
import { begun } from '../subject.ts';

const ERRORS = 'gpu-pool/agent/sglang/engine-error.ts';
const CONTEXT = 'gpu-pool/agent/context-window.ts';

export const ERRORS_ROWS: readonly Assumption[] = [
  {
    id: 'errors/flat',
    says: 'an invalid request is a 400 whose body is an error without an envelope',
    madeBy: [ERRORS, 'gpu-pool/emulator/openai-shape.ts'],
    async check({ engine }) {
      const bodies = {
        'no messages': { messages: [] },
        'messages of another type': { messages: 'hi' },
        'a required tool of none': { messages: user('Hi'), tool_choice: 'required' },
      };
      const faults: string[] = [];
      for (const [name, body] of Object.entries(bodies)) {
        const { status, answer } = await engine.whole({ ...body, max_tokens: 2 });
        if (status !== 400 || answer.object !== 'error' || answer.code !== 400)
          faults.push(`${name}: ${status} ${answer.object} ${answer.code}`);
      }
      return withoutFaults('400 error 400', faults);
    },
  },
  {
    id: 'errors/routes',
    says: 'an unknown path is 404 and a wrong method 405, which are no client’s fault',
    madeBy: [ERRORS, 'gpu-pool/emulator/server.ts'],
    async check({ engine }) {
      const [unknown, method] = await Promise.all([
        engine.call('/v1/nothing'),
        engine.call('/v1/chat/completions'),
      ]);
      return verdict('404 405', `${unknown.status} ${method.status}`);
    },
  },
  {
    id: 'errors/duplicate',
    says: 'an id that runs already is refused with 400',
    madeBy: ['gpu-pool/agent/active-requests.ts', 'gpu-pool/emulator/chat.ts'],
    async check({ engine }) {
      const rid = `req_${freshWord()}`;
      const running = engine.start(engine.endless({ rid }));
      await begun(running);
      const { status } = await engine.whole(engine.endless({ rid, max_tokens: 2 }));
      running.leave();
      await engine.idleWithin(10_000);
      return verdict('400', String(status));
    },
  },
  {
    id: 'errors/surrogate',
    says: 'half of a surrogate pair in a message is refused with 400',
    madeBy: ['worker/domain/engine-text.ts'],
    onlyReal: 'the emulator reads JSON as JavaScript does',
    async check({ engine }) {
      const { status } = await engine.whole({ messages: user('Half: \ud83d'), max_tokens: 2 });
      return verdict('400', String(status));
    },
  },
  {
    id: 'errors/context',
    says: 'a prompt and max_tokens that exceed the context together are refused with 400',
    madeBy: [CONTEXT, 'gpu-pool/emulator/context.ts'],
    async check({ engine, contextTokens }) {
      const messages = user('How long may this be?');
      const { count } = await engine.tokenize({ messages });
      const { status } = await engine.whole({ messages, max_tokens: contextTokens - count + 1 });
      return verdict('400', String(status));
    },
  },
  {
    id: 'errors/context-reserve',
    says: `a prompt and max_tokens that leave ${CONTEXT_RESERVE} tokens of the context are taken`,
    madeBy: [CONTEXT],
    async check({ engine, contextTokens }) {
      const messages = user('How long may this be? [[reasoning=20 answer=20]]');
      const { count } = await engine.tokenize({ messages });
      const running = engine.start({ messages, max_tokens: contextTokens - count - CONTEXT_RESERVE });
      await begun(running);
      running.leave();
      await engine.idleWithin(10_000);
      return verdict('taken', 'taken');
    },
  },
  {
    id: 'errors/input-length',
    says: 'the longest input is six tokens shorter than the context',
    madeBy: [CONTEXT, 'gpu-pool/emulator/context.ts'],
    async check({ info, contextTokens }) {
      const { max_req_input_len: longest, max_total_num_tokens: pool } = info as Record<
        string,
        number | undefined
      >;
      const bound = Math.min(contextTokens, pool ?? contextTokens);
      if (longest === undefined) return notApplicable('/server_info does not say');
      return verdict(
        `at least ${bound - CONTEXT_RESERVE}`,
        String(longest),
        longest <= bound && longest >= bound - CONTEXT_RESERVE,
      );
    },
  },
];
