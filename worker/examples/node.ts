import { apiKeyInJavaScript, type Example, type ExampleRequest, quoted } from './example.ts';

export function node({ baseUrl, model, question, key }: ExampleRequest): Example {
  return {
    id: 'node',
    name: 'Node',
    language: 'javascript',
    code: `// npm install openai
import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: ${quoted(baseUrl)},
  apiKey: ${apiKeyInJavaScript(key)},
});
const answer = await client.chat.completions.create({
  model: ${quoted(model)},
  messages: [{ role: 'user', content: ${quoted(question)} }],
});
console.log(answer.choices[0].message.reasoning_content);
console.log(answer.choices[0].message.content);`,
  };
}
