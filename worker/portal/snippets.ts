/** The first request in the languages that people arrive with. */

export interface Snippet {
  readonly id: string;
  readonly name: string;
  readonly code: string;
}

/** @param key the key itself when it is fresh; null: read from the environment */
export function snippets(request: {
  baseUrl: string;
  model: string;
  question: string;
  key: string | null;
}): readonly Snippet[] {
  const { baseUrl, model, question, key } = request;
  // a quote would end the shell's string
  const shell = (text: string) => JSON.stringify(text).replaceAll("'", "'\\''");
  const quoted = (text: string) => JSON.stringify(text);
  return [
    {
      id: 'curl',
      name: 'curl',
      code: `curl ${baseUrl}/chat/completions \\
  -H "Authorization: Bearer ${key ?? '$TOLLGATE_API_KEY'}" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": ${shell(model)},
    "messages": [{"role": "user", "content": ${shell(question)}}]
  }'`,
    },
    {
      id: 'python',
      name: 'Python',
      code: `# pip install openai
${key ? '' : 'import os\n'}from openai import OpenAI

client = OpenAI(
    base_url=${quoted(baseUrl)},
    api_key=${key ? quoted(key) : 'os.environ["TOLLGATE_API_KEY"]'},
)
answer = client.chat.completions.create(
    model=${quoted(model)},
    messages=[{"role": "user", "content": ${quoted(question)}}],
)
print(answer.choices[0].message.reasoning_content)
print(answer.choices[0].message.content)`,
    },
    {
      id: 'node',
      name: 'Node',
      code: `// npm install openai
import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: ${quoted(baseUrl)},
  apiKey: ${key ? quoted(key) : 'process.env.TOLLGATE_API_KEY'},
});
const answer = await client.chat.completions.create({
  model: ${quoted(model)},
  messages: [{ role: 'user', content: ${quoted(question)} }],
});
console.log(answer.choices[0].message.reasoning_content);
console.log(answer.choices[0].message.content);`,
    },
  ];
}
