/** The split of an answer into reasoning and content. */
import { type Assumption, notApplicable, verdict } from '../assumption.ts';
import { choicesOf, finishOf, textOf, totalOf } from '../direct-engine.ts';
import { freshSalt, freshWord, user } from '../prompts.ts';
import type { Subject } from '../subject.ts';

const PARSER = 'gpu-pool/recipes/flags.ts';

const answered = ({ engine }: Subject) =>
  engine.stream({
    messages: user(`${freshWord()} How many primes are below 10? [[reasoning=30 answer=20]]`),
    max_tokens: 1_500,
    cache_salt: freshSalt(),
  });

export const REASONING: readonly Assumption[] = [
  {
    id: 'reasoning/separate',
    says: 'reasoning comes as reasoning_content, before the content, and neither has the tags',
    madeBy: [PARSER, 'gpu-pool/agent/sglang/stream.ts'],
    async check(subject) {
      if (!subject.reasons) return notApplicable('the engine has no reasoning parser');
      const { chunks } = await answered(subject);
      const fields = choicesOf(chunks)
        .flatMap(({ delta }) => [
          delta?.reasoning_content ? 'reasoning' : [],
          delta?.content || delta?.tool_calls?.length ? 'content' : [],
        ])
        .flat()
        .filter((field, at, all) => field !== all[at - 1]);
      const tags = /<\/?think>/.test(textOf(chunks, 'content') + textOf(chunks, 'reasoning_content'));
      const cut = finishOf(chunks)?.finish_reason === 'length';
      const seen = `${fields.join(', ')}${tags ? ', tags' : ''}`;
      return verdict(
        'reasoning, content',
        seen,
        seen === 'reasoning, content' || (cut && seen === 'reasoning'),
      );
    },
  },
  {
    id: 'reasoning/count',
    says: 'reasoning_tokens stands at the top of usage, more than 0 and less than the completion',
    madeBy: ['gpu-pool/agent/sglang/usage.ts', 'gpu-pool/emulator/openai-shape.ts'],
    async check(subject) {
      if (!subject.reasons) return notApplicable('the engine has no reasoning parser');
      const { chunks } = await answered(subject);
      const { reasoning_tokens: reasoning = 0, completion_tokens: all = 0 } = totalOf(chunks) ?? {};
      return verdict('between 0 and all', `${reasoning} of ${all}`, reasoning > 0 && reasoning <= all);
    },
  },
  {
    id: 'reasoning/cut',
    says: 'an answer that is cut off in its thought is all reasoning, and counts as such',
    madeBy: ['gpu-pool/agent/sglang/usage.ts', 'gpu-pool/emulator/chat-format.ts'],
    async check({ engine, reasons }) {
      if (!reasons) return notApplicable('the engine has no reasoning parser');
      const { chunks } = await engine.stream({
        messages: user(`${freshWord()} Think long. [[reasoning=3000]]`),
        max_tokens: 3,
        cache_salt: freshSalt(),
      });
      const total = totalOf(chunks);
      return verdict(
        '3 of 3, no content',
        `${total?.reasoning_tokens} of ${total?.completion_tokens}, ${textOf(chunks, 'content') === '' ? 'no content' : 'content'}`,
      );
    },
  },
  {
    id: 'reasoning/whole',
    says: 'a whole answer has reasoning_content and content',
    madeBy: ['gpu-pool/emulator/chat-format.ts'],
    async check({ engine, reasons }) {
      if (!reasons) return notApplicable('the engine has no reasoning parser');
      const { answer } = await engine.whole({
        messages: user(`${freshWord()} Think. [[reasoning=30 answer=9]]`),
        max_tokens: 4,
        cache_salt: freshSalt(),
      });
      const message = answer.choices?.[0]?.message;
      return verdict(
        'reasoning',
        message?.reasoning_content ? 'reasoning' : `content: ${JSON.stringify(message?.content)}`,
      );
    },
  },
];
