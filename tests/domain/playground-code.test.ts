/** The code that the playground shows makes the same request as the playground, whatever was typed. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { asCode } from '../../worker/portal/playground/client/as-code.ts';
import { newExchange } from '../../worker/portal/playground/client/exchange.ts';
import { pythonLiteral } from '../../worker/portal/playground/client/literal.ts';
import { bodyFor } from '../../worker/portal/playground/client/settings.ts';

const TYPED = `it's "$HOME" \`id\` \\ \n\t€ 🦉 </script> \${x}`;
const SCHEMA = {
  type: 'object',
  properties: { ['__proto__']: { enum: [true, false, null, 1e-7, TYPED] }, [TYPED]: {}, null: { items: [] } },
};
const SETTINGS = {
  model: 'deepseek-r1-0528',
  system: '',
  maxTokens: '',
  temperature: '',
  schema: '',
  keyId: 'key_1',
};
const past = [
  { ...newExchange(1, 'first'), answer: 'one', reasoning: 'hm' },
  { ...newExchange(2, 'refused') },
];
const typed = {
  ...SETTINGS,
  system: TYPED,
  maxTokens: '50',
  temperature: '0.5',
  schema: JSON.stringify(SCHEMA),
};
const body = bodyFor(typed, past, TYPED);

describe('the request', () => {
  it('is the answered part of the conversation, without its reasoning, under the settings', () => {
    expect(body).toEqual({
      model: 'deepseek-r1-0528',
      messages: [
        { role: 'system', content: TYPED },
        { role: 'user', content: 'first' },
        { role: 'assistant', content: 'one' },
        { role: 'user', content: TYPED },
      ],
      max_tokens: 50,
      temperature: 0.5,
      response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: SCHEMA } },
    });
  });

  it('has a schema that is no JSON as it was typed, for the API to refuse', () => {
    const { response_format } = bodyFor({ ...SETTINGS, schema: '{"type"' }, [], 'Hi');
    expect(response_format).toEqual({
      type: 'json_schema',
      json_schema: { name: 'answer', schema: '{"type"' },
    });
  });

  it('leaves out settings that were not chosen', () => {
    expect(bodyFor({ ...SETTINGS, schema: ' \n' }, [], 'Hi')).toEqual({
      model: 'deepseek-r1-0528',
      messages: [{ role: 'user', content: 'Hi' }],
    });
  });
});

describe('as code', () => {
  const codes = Object.fromEntries(
    asCode('https://t.example/v1', body).map(({ name, code }) => [name, code]),
  ) as Record<string, string>;
  const streamed = { ...body, stream: true, stream_options: { include_usage: true } };

  it('of curl, sent by a shell', () => {
    const shell = `curl() { while [ "$1" != -d ]; do shift; done; printf %s "$2"; }\n${codes.curl}`;
    expect(JSON.parse(execFileSync('bash', ['-c', shell], { encoding: 'utf8' }))).toEqual(streamed);
  });

  it('of Node, run', async () => {
    const sent: object[] = [];
    class OpenAI {
      readonly chat = {
        completions: {
          create: async (request: object) => {
            sent.push(request);
            return [];
          },
        },
      };
    }
    const program = codes.Node!.replace(/^import .*$/m, '').replace('process.env.TOLLGATE_API_KEY', "''");
    const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
    await new AsyncFunction('OpenAI', program)(OpenAI);
    expect(sent).toEqual([streamed]);
  });

  it('of Python, with the literals that JSON and Python share', () => {
    expect(codes.Python).toContain(`{"role": "user", "content": ${JSON.stringify(TYPED)}},`);
    expect(codes.Python).toContain('    max_tokens=50,\n    temperature=0.5,\n    response_format={\n');
  });

  it('of Python, with its own words for true, false and null, but not in texts', () => {
    expect(pythonLiteral({ null: [true, false, null, 'true', {}, []] }, '  ')).toBe(
      '{\n    "null": [\n      True,\n      False,\n      None,\n      "true",\n      {},\n      [],\n    ],\n  }',
    );
    expect(codes.Python).toContain(`\n${pythonLiteral(SCHEMA, ' '.repeat(8))}`.trim());
  });
});
