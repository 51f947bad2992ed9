import type { Example, ExampleRequest } from './example.ts';

export function curl({ baseUrl, model, question, key }: ExampleRequest): Example {
  // a quote would end the shell's string
  const shell = (text: string) => JSON.stringify(text).replaceAll("'", "'\\''");
  return {
    id: 'curl',
    name: 'curl',
    language: 'bash',
    code: `curl ${baseUrl}/chat/completions \\
  -H "Authorization: Bearer ${key ?? '$TOLLGATE_API_KEY'}" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": ${shell(model)},
    "messages": [{"role": "user", "content": ${shell(question)}}]
  }'`,
  };
}
