import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import { GenerateRequest, type NodeChunk } from '../../gpu-pool/protocol/schemas.ts';
import { canaryTasks, TASK_PROMPT_TOKENS_MAX } from '../../worker/domain/canary-tasks.ts';
import { type CanaryText, CanaryTextReader } from '../../worker/domain/canary-text.ts';

const R1 = ModelProfile.parse(JSON.parse(readFileSync('gpu-pool/models/deepseek-r1-0528.json', 'utf8')));
const [tool, json] = canaryTasks({ profile: R1 });
const BIRD = '{"species": "canary", "sings": true}';

function text(change: Partial<CanaryText> = {}): CanaryText {
  return { reasoning: '', content: '', calls: [], isCut: false, ...change };
}
const call = (args = BIRD, name = 'report_bird') => ({ name, arguments: args });

describe('the tasks', () => {
  it('are valid in the protocol, force the form of the answer, and are far below the stated prompt', () => {
    for (const { request } of [tool!, json!]) {
      expect(GenerateRequest.strict().parse(request)).toEqual(request);
      expect(JSON.stringify(request).length).toBeLessThan(TASK_PROMPT_TOKENS_MAX / 2);
      expect(request.max_tokens).toBe(1_024);
    }
    expect(tool!.request.tool_choice).toEqual({ type: 'function', function: { name: 'report_bird' } });
    expect(tool!.request.tools).toMatchObject([{ function: { strict: true } }]);
    expect(json!.request.response_format?.type).toBe('json_schema');
  });

  it('have no tool call where the model has no parser for it', () => {
    const without = { ...R1, parsers: { ...R1.parsers, tools: null } };
    expect(canaryTasks({ profile: without })).toEqual([json]);
    expect(canaryTasks({ profile: {} })).toEqual([json]);
  });
});

describe('a tool call', () => {
  it('passes as a call with a JSON object, with or without thought', () => {
    // The engine does not hold arguments to the schema of a tool that is not strict.
    expect(tool!.faultIn(text({ calls: [call('{}')] }))).toBeNull();
    expect(tool!.faultIn(text({ calls: [call()] }))).toBeNull();
    expect(tool!.faultIn(text({ calls: [call()], reasoning: 'Hm.' }))).toBeNull();
  });

  it.each<[string, Partial<CanaryText>]>([
    ['as text of the answer', { content: `<｜tool▁calls▁begin｜>report_bird ${BIRD}` }],
    ['as JSON in the answer', { content: BIRD }],
    ['not at all', {}],
    ['within the reasoning', { reasoning: BIRD }],
    ['to another tool', { calls: [call(BIRD, 'other')] }],
    ['with broken arguments', { calls: [call('{"species": "can')] }],
    ['with no arguments', { calls: [call('')] }],
    ['with arguments that are no object', { calls: [call('["canary", true]')] }],
    ['as text, and is cut off', { content: 'I call', isCut: true }],
  ])('fails where it comes %s', (_, change) => {
    expect(tool!.faultIn(text(change))).toBe('no_tool_call');
  });

  it('is not judged where the answer is cut off before it', () => {
    expect(tool!.faultIn(text({ reasoning: 'Hm, ', isCut: true }))).toBeNull();
    expect(tool!.faultIn(text({ calls: [call('{"spec')], isCut: true }))).toBeNull();
  });
});

describe('a JSON answer', () => {
  it('passes where it follows the schema', () => {
    expect(json!.faultIn(text({ content: BIRD }))).toBeNull();
    expect(json!.faultIn(text({ content: `\n ${BIRD}\n` }))).toBeNull();
  });

  it.each<[string, Partial<CanaryText>]>([
    ['is prose', { content: 'A canary.' }],
    ['is fenced', { content: `\`\`\`json\n${BIRD}\n\`\`\`` }],
    ['is missing', {}],
    ['is in the reasoning', { reasoning: BIRD }],
    ['breaks the schema', { content: '{"species": "canary"}' }],
    ['has more than the schema', { content: '{"species": "canary", "sings": true, "age": 2}' }],
    ['is another value', { content: 'null' }],
    ['is prose, and is cut off', { content: 'A can', isCut: true }],
  ])('fails where it %s', (_, change) => {
    expect(json!.faultIn(text(change))).toBe('not_json');
  });

  it('is not judged where the answer is cut off within the thought, or within JSON', () => {
    expect(json!.faultIn(text({ reasoning: 'Hm, ', isCut: true }))).toBeNull();
    expect(json!.faultIn(text({ content: '  \n', isCut: true }))).toBeNull();
    expect(json!.faultIn(text({ content: '{"species": "can', isCut: true }))).toBeNull();
  });
});

describe('the text of an answer', () => {
  const usage = { prompt_tokens: 1, cached_tokens: 0, completion_tokens: 1, reasoning_tokens: 0 };
  const read = (...choices: NodeChunk['choices']) => {
    const reader = new CanaryTextReader();
    for (const choice of choices) reader.add({ choices: [choice], usage });
    return reader.text;
  };

  it('is put together from its chunks', () => {
    expect(
      read(
        { index: 0, delta: { reasoning_content: 'H' }, finish_reason: null },
        { index: 0, delta: { reasoning_content: 'm' }, finish_reason: null },
        { index: 0, delta: { content: 'a' }, finish_reason: null },
        { index: 1, delta: { content: 'other' }, finish_reason: null },
        {
          index: 0,
          delta: { tool_calls: [{ index: 0, id: 'x', type: 'function', function: { name: 'f' } }] },
          finish_reason: null,
        },
        {
          index: 0,
          delta: { tool_calls: [{ index: 0, function: { arguments: '{' } }] },
          finish_reason: null,
        },
        {
          index: 0,
          delta: { tool_calls: [{ index: 0, function: { arguments: '}' } }] },
          finish_reason: null,
        },
        { index: 0, delta: {}, finish_reason: 'length' },
      ),
    ).toEqual({ reasoning: 'Hm', content: 'a', calls: [{ name: 'f', arguments: '{}' }], isCut: true });
  });

  it('is bounded, whatever a node sends', () => {
    const long = 'x'.repeat(16_384);
    const part = { index: 0, delta: { content: long }, finish_reason: null };
    expect(read(part, part, part).content).toHaveLength(16_384);
    const at = (index: number) => ({
      index: 0,
      delta: { tool_calls: [{ index, function: { name: 'f' } }] },
      finish_reason: null,
    });
    expect(read(at(1_000_000), at(0), at(8)).calls).toEqual([{ name: 'f', arguments: '' }]);
  });
});
