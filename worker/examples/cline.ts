import type { Example, ExampleRequest } from './example.ts';

/** The values to enter in the extension's settings. */
export function cline({ baseUrl, model, key }: ExampleRequest): Example {
  return {
    id: 'cline',
    name: 'Cline',
    language: 'text',
    code: `API Provider: OpenAI Compatible
Base URL: ${baseUrl}
API Key: ${key ?? '$TOLLGATE_API_KEY'}
Model ID: ${model}`,
  };
}
