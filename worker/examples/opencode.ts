import type { Example, ExampleRequest } from './example.ts';

/** The content of `opencode.json`, in the project or in ~/.config/opencode. */
export function opencode({ baseUrl, model, key }: ExampleRequest): Example {
  const config = {
    $schema: 'https://opencode.ai/config.json',
    provider: {
      tollgate: {
        npm: '@ai-sdk/openai-compatible',
        name: 'Tollgate',
        options: { baseURL: baseUrl, apiKey: key ?? '{env:TOLLGATE_API_KEY}' },
        models: { [model]: { name: model } },
      },
    },
  };
  return { id: 'opencode', name: 'opencode', language: 'json', code: JSON.stringify(config, null, 2) };
}
