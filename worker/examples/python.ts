import { type Example, type ExampleRequest, quoted } from './example.ts';

export function python({ baseUrl, model, question, key }: ExampleRequest): Example {
  return {
    id: 'python',
    name: 'Python',
    language: 'python',
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
  };
}
