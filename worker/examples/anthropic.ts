import { apiKeyInJavaScript, type Example, type ExampleRequest, quoted } from './example.ts';

export function anthropic({ baseUrl, model, question, key }: ExampleRequest): Example {
  return {
    id: 'anthropic',
    name: 'Anthropic',
    language: 'javascript',
    code: `// npm install @anthropic-ai/sdk
import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({
  baseURL: ${quoted(baseUrl.replace(/\/v1$/, '/anthropic'))},
  apiKey: ${apiKeyInJavaScript(key)},
});
const message = await client.messages.create({
  model: ${quoted(model)},
  max_tokens: 4096,
  messages: [{ role: 'user', content: ${quoted(question)} }],
});
for (const block of message.content) console.log(block.thinking ?? block.text);`,
  };
}
