/** Stop strings, which the agent applies itself. */
import { type Assumption, notApplicable, verdict } from '../assumption.ts';
import { finishOf, TEXT_PATH, textOf, totalOf } from '../direct-engine.ts';
import { freshSalt, freshWord, user } from '../prompts.ts';

export const STOP: readonly Assumption[] = [
  {
    id: 'stop/in-reasoning',
    says: 'the engine’s own stop matches inside the reasoning, so that the agent must not pass it on',
    madeBy: ['gpu-pool/agent/sglang/stop-strings.ts'],
    async check({ engine, reasons }) {
      if (!reasons) return notApplicable('the engine has no reasoning parser');
      const body = {
        messages: user('Think about ten. [[reasoning=60]]'),
        max_tokens: 40,
        temperature: 0,
        cache_salt: freshSalt(),
      };
      const thought = textOf((await engine.stream(body)).chunks, 'reasoning_content');
      const [stop = 'e'] = thought;
      const { chunks } = await engine.stream({ ...body, stop: [stop] });
      const finish = finishOf(chunks);
      const early = (totalOf(chunks)?.completion_tokens ?? 40) < 40 && textOf(chunks, 'content') === '';
      return verdict(
        'stopped in the thought',
        `${finish?.finish_reason} ${early ? 'in the thought' : 'in the answer'}`,
        finish?.finish_reason === 'stop' && early,
      );
    },
  },
  {
    id: 'stop/matched',
    says: 'matched_stop is the string that ended the answer, which is not in its text',
    madeBy: ['gpu-pool/agent/sglang/stream.ts', 'gpu-pool/emulator/plan.ts'],
    async check({ engine }) {
      const { chunks } = await engine.stream(
        { prompt: `${freshWord()} Count: one two three.`, max_tokens: 300, ignore_eos: true, stop: ['e'] },
        TEXT_PATH,
      );
      const finish = finishOf(chunks);
      const text = textOf(chunks, 'content');
      return verdict(
        'stop "e", not in the text',
        `${finish?.finish_reason} ${JSON.stringify(finish?.matched_stop)}, ${text.includes('e') ? 'in the text' : 'not in the text'}`,
      );
    },
  },
];
