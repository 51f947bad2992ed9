/** The page's request as a program: the same conversation and settings, with the key read from the environment. */
import { quoted } from '../../../examples/example.ts';
import type { ChatBody } from './ask.ts';
import { javaScriptLiteral, pythonLiteral } from './literal.ts';

export interface Code {
  readonly name: string;
  readonly code: string;
}

export function asCode(baseUrl: string, body: ChatBody): readonly Code[] {
  return [
    { name: 'curl', code: curl(baseUrl, body) },
    { name: 'Python', code: python(baseUrl, body) },
    { name: 'Node', code: node(baseUrl, body) },
  ];
}

function curl(baseUrl: string, body: ChatBody): string {
  const request = { ...body, stream: true, stream_options: { include_usage: true } };
  // a single quote would end the shell's string
  const json = JSON.stringify(request, null, 2).replaceAll("'", "'\\''");
  return `curl -N ${baseUrl}/chat/completions \\
  -H "Authorization: Bearer $TOLLGATE_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${json}'`;
}

function python(baseUrl: string, body: ChatBody): string {
  const messages = body.messages.map(
    ({ role, content }) => `        {"role": ${quoted(role)}, "content": ${quoted(content)}},`,
  );
  const options = chosen(body).map(([name, value]) => `\n    ${name}=${pythonLiteral(value, '    ')},`);
  return `# pip install openai
import os
from openai import OpenAI

client = OpenAI(
    base_url=${quoted(baseUrl)},
    api_key=os.environ["TOLLGATE_API_KEY"],
)
stream = client.chat.completions.create(
    model=${quoted(body.model)},
    messages=[
${messages.join('\n')}
    ],${options.join('')}
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    for choice in chunk.choices:
        reasoning = getattr(choice.delta, "reasoning_content", None)
        print(reasoning or choice.delta.content or "", end="", flush=True)
    if chunk.usage:
        print("\\n", chunk.usage)`;
}

function node(baseUrl: string, body: ChatBody): string {
  const messages = body.messages.map(
    ({ role, content }) => `    { role: ${quoted(role)}, content: ${quoted(content)} },`,
  );
  const options = chosen(body).map(([name, value]) => `\n  ${name}: ${javaScriptLiteral(value, '  ')},`);
  return `// npm install openai
import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: ${quoted(baseUrl)},
  apiKey: process.env.TOLLGATE_API_KEY,
});
const stream = await client.chat.completions.create({
  model: ${quoted(body.model)},
  messages: [
${messages.join('\n')}
  ],${options.join('')}
  stream: true,
  stream_options: { include_usage: true },
});
for await (const { choices, usage } of stream) {
  for (const { delta } of choices) {
    process.stdout.write(delta.reasoning_content ?? delta.content ?? '');
  }
  if (usage) console.log('\\n', usage);
}`;
}

/** The optional settings that were chosen. */
function chosen({ max_tokens, temperature, response_format }: ChatBody): [name: string, value: unknown][] {
  return Object.entries({ max_tokens, temperature, response_format }).filter(
    ([, value]) => value !== undefined,
  );
}
