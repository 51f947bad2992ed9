import { apiKeyInJavaScript, type Example, type ExampleRequest, quoted } from './example.ts';

export function aiSdk({ baseUrl, model, question, key }: ExampleRequest): Example {
  return {
    id: 'ai-sdk',
    name: 'AI SDK',
    language: 'javascript',
    code: `// npm install ai @ai-sdk/deepseek
import { createDeepSeek } from '@ai-sdk/deepseek';
import { generateText } from 'ai';

const tollgate = createDeepSeek({
  baseURL: ${quoted(baseUrl)},
  apiKey: ${apiKeyInJavaScript(key)},
});
const { reasoningText, text } = await generateText({
  model: tollgate(${quoted(model)}),
  prompt: ${quoted(question)},
});
console.log(reasoningText);
console.log(text);`,
  };
}
