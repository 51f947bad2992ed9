/** Answers that go on from a text: `continue_final_message`. */
import { type Assumption, notApplicable, verdict } from '../assumption.ts';
import { choicesOf, totalOf } from '../direct-engine.ts';
import { freshSalt, user } from '../prompts.ts';
import type { Subject } from '../subject.ts';

const MADE_BY = ['docs/conformance.md'];
const ONLY_REAL = 'the emulator does not continue answers';

async function continued({ engine }: Subject, last: object) {
  const { chunks } = await engine.stream({
    messages: [...user('Count to ten.'), { role: 'assistant', ...last }],
    continue_final_message: true,
    max_tokens: 6,
    ignore_eos: true,
    cache_salt: freshSalt(),
  });
  const delta = choicesOf(chunks).find(
    (choice) => choice.delta?.content || choice.delta?.reasoning_content,
  )?.delta;
  return {
    field: delta?.reasoning_content ? 'reasoning' : delta?.content ? 'content' : 'nothing',
    prompt: totalOf(chunks)?.prompt_tokens,
  };
}

export const CONTINUING: readonly Assumption[] = [
  ...(
    [
      ['thought', 'an open thought goes on as reasoning', '<think>\nFirst I', 'reasoning'],
      [
        'answer',
        'what follows the end of a thought goes on as content',
        '<think>\nSure.\n</think>\n\nOne, two',
        'content',
      ],
      [
        'closed',
        'a thought that has just ended is followed by content',
        '<think>\nSure.\n</think>',
        'content',
      ],
    ] as const
  ).map(
    ([name, says, content, expected]): Assumption => ({
      id: `continuing/${name}`,
      says,
      madeBy: MADE_BY,
      onlyReal: ONLY_REAL,
      async check(subject) {
        if (!subject.reasons) return notApplicable('the engine has no reasoning parser');
        return verdict(expected, (await continued(subject, { content })).field);
      },
    }),
  ),
  {
    id: 'continuing/dropped-reasoning',
    says: 'reasoning_content of the message that is continued is dropped in silence',
    madeBy: MADE_BY,
    onlyReal: ONLY_REAL,
    async check(subject) {
      const content = 'One, two';
      const without = await continued(subject, { content });
      const beside = await continued(subject, {
        content,
        reasoning_content: 'I shall count, slowly and with care.',
      });
      return verdict(`${without.prompt} tokens`, `${beside.prompt} tokens`);
    },
  },
];
