import { describe, expect, it } from 'vitest';
import { continuesAnswers, withOwnThought } from '../../worker/domain/answer-prefix.ts';

const begun = (content: string | null, reasoning_content?: string) => ({
  role: 'answer_prefix' as const,
  content,
  ...(reasoning_content !== undefined && { reasoning_content }),
});

describe('a thought that a client has written into the text', () => {
  it.each([
    ['One', begun('One')],
    ['<think>\nHm', begun(null, '\nHm')],
    ['  <think>', begun(null, '')],
    ['<think>Hm</think>One', begun('One', 'Hm')],
    ['Hm</think>One', begun('One', 'Hm')],
    ['<think>a</think>b</think>c', begun('c', 'a</think>b')],
    // The thought stays closed.
    ['<think>Hm</think>', begun('\n\n', 'Hm')],
    ['<think></think>', begun('\n\n')],
    // A tag within the answer is text.
    ['The tag <think> opens one', begun('The tag <think> opens one')],
  ])('%j', (content, parted) => {
    expect(withOwnThought(begun(content))).toEqual(parted);
  });

  it('is left in it beside one of its own field', () => {
    expect(withOwnThought(begun('<think>a', 'Hm'))).toEqual(begun('<think>a', 'Hm'));
    expect(withOwnThought(begun(null, '<think>'))).toEqual(begun(null, '<think>'));
  });
});

it('a model goes on with an answer where the agent knows the tags of its thoughts, or it has none', () => {
  const of = (reasoning: string | null) => continuesAnswers({ parsers: { reasoning, tools: null } });
  expect([of('deepseek-r1'), of('glm45'), of(null)]).toEqual([true, true, true]);
  expect([of('gpt-oss'), of('deepseek-v4'), of('toString')]).toEqual([false, false, false]);
});
