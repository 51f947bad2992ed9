import type { Example, ExampleRequest } from './example.ts';

export function curl({ baseUrl, model, question, key }: ExampleRequest): Example {
  // A single quote would end the shell's string.
  const quotedInShell = (text: string) => JSON.stringify(text).replaceAll("'", "'\\''");
  return {
    id: 'curl',
    name: 'curl',
    language: 'bash',
    code: `curl ${baseUrl}/chat/completions \\
  -H "Authorization: Bearer ${key ?? '$TOLLGATE_API_KEY'}" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": ${quotedInShell(model)},
    "messages": [{"role": "user", "content": ${quotedInShell(question)}}]
  }'`,
  };
}
