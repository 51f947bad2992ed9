import { apiKeyInJavaScript, type Example, type ExampleRequest, quoted } from './example.ts';

export function langchain({ baseUrl, model, question, key }: ExampleRequest): Example {
  return {
    id: 'langchain',
    name: 'LangChain',
    language: 'javascript',
    code: `// npm install @langchain/deepseek @langchain/core
import { ChatDeepSeek } from '@langchain/deepseek';

const model = new ChatDeepSeek({
  model: ${quoted(model)},
  apiKey: ${apiKeyInJavaScript(key)},
  configuration: { baseURL: ${quoted(baseUrl)} },
});
const answer = await model.invoke(${quoted(question)});
console.log(answer.additional_kwargs.reasoning_content);
console.log(answer.content);`,
  };
}
